import math

import pytest
import torch

from lit_seq.cells import GRU, LSTM, FeedForward
from lit_seq.cores import NTM

pytestmark = pytest.mark.usefixtures("double")

softplus = torch.nn.functional.softplus


def cosine(a, b):
    return (a @ b / torch.sqrt((a @ a + 1e-6) * (b @ b + 1e-6))).item()


def sharpened(weights, sharpness):
    powers = [w**sharpness for w in weights]
    return [power / sum(powers) for power in powers]


def address(core, memory, before, strength, gate, sharpness, shift, key):
    """Equations 5 to 9 for one head of one sequence, location by location."""
    rows = range(core.rows)
    scores = [math.exp(softplus(strength).item() * cosine(key, memory[i])) for i in rows]
    content = [score / sum(scores) for score in scores]
    g = torch.sigmoid(gate).item()
    gated = [g * content[i] + (1 - g) * before[i] for i in rows]
    reach = len(shift) // 2
    shares = torch.softmax(shift, 0).tolist()
    # The emitted shifts go from forward to backward.
    shifted = [
        sum(gated[(i - j) % core.rows] * shares[reach - j] for j in range(-reach, reach + 1)) for i in rows
    ]
    return sharpened(shifted, 1 + softplus(sharpness).item())


@pytest.mark.parametrize("cell", [LSTM, FeedForward])
def test_the_paper_by_hand(cell):
    torch.manual_seed(0)
    core = NTM(3, cell, 6, rows=7, width=4, read_heads=2, write_heads=2, reach=2, learned_initial_state=True)
    with torch.no_grad():
        for initial in core.initial:
            initial.normal_()
        core.heads.bias.normal_()
    heads = 4
    inputs = torch.randn(5, 1, 3)
    outputs, state = core(inputs)

    start = core.initial_state(1)
    controller, memory, reads = start.controller, start.memory[0], start.reads[0]
    weights = [[1.0] + [0.0] * 6 for _ in range(heads)]
    for t, x in enumerate(inputs[:, 0]):
        controller = core.controller.step(core.controller.project(torch.cat([x, reads])[None]), controller)
        h = core.controller.output(controller)[0]
        emitted = core.heads.weight @ h + core.heads.bias
        strength, gate, sharpness, shift, key, erase, add = emitted.split([4, 4, 4, 20, 16, 8, 8])
        weights = [
            address(
                core,
                memory,
                weights[n],
                strength[n],
                gate[n],
                sharpness[n],
                shift.chunk(4)[n],
                key.chunk(4)[n],
            )
            for n in range(heads)
        ]
        reads = torch.cat([sum(weights[n][i] * memory[i] for i in range(7)) for n in range(2)])
        erased = torch.stack(
            [
                memory[i]
                * (1 - weights[2][i] * erase[:4].sigmoid())
                * (1 - weights[3][i] * erase[4:].sigmoid())
                for i in range(7)
            ]
        )
        memory = torch.stack(
            [erased[i] + weights[2][i] * add[:4] + weights[3][i] * add[4:] for i in range(7)]
        )
        torch.testing.assert_close(outputs[t, 0], torch.cat([h, reads]), rtol=0, atol=1e-9)
    torch.testing.assert_close(state.memory[0], memory, rtol=0, atol=1e-9)
    torch.testing.assert_close(core.attention_weights(state)[0], torch.tensor(weights), rtol=0, atol=1e-9)
    torch.testing.assert_close(core.summary(state), outputs[-1], rtol=0, atol=0)


def test_gradients_are_finite_on_a_blank_memory():
    core = NTM(3, GRU, 6, rows=7, width=4).float()
    core(torch.randn(30, 2, 3, dtype=torch.float32))[0].square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in core.parameters())
    assert max(parameter.grad.abs().max() for parameter in core.parameters()) < 1e3


def test_gradients_equal_finite_differences():
    torch.manual_seed(0)
    core = NTM(2, LSTM, 3, rows=5, width=2, learned_initial_state=True)
    names, values = zip(*core.named_parameters(), strict=True)
    inputs = torch.randn(3, 2, 2)

    def outputs(*values):
        return torch.func.functional_call(core, dict(zip(names, values, strict=True)), (inputs,))[0]

    values = tuple((value.detach() + 0.3 * torch.randn_like(value)).requires_grad_() for value in values)
    assert torch.autograd.gradcheck(outputs, values, eps=1e-7, atol=1e-5)


def test_everything_learned_has_a_gradient():
    core = NTM(3, LSTM, 6, rows=7, width=4, learned_initial_state=True)
    core(torch.randn(5, 2, 3))[0].square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in core.parameters())


@pytest.mark.parametrize("option", ["rows", "width", "read_heads", "write_heads", "reach"])
def test_wrong_size_is_named(option):
    with pytest.raises(ValueError, match=f"NTM: {option} is 0"):
        NTM(3, **{option: 0})


def test_a_shift_round_the_memory_is_refused():
    with pytest.raises(ValueError, match="reach is 2; it must be below half of the 4 rows"):
        NTM(3, rows=4, reach=2)
