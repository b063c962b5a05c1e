"""The tapped delay line, alone and with a reader; what every core promises is tested for it too."""

from functools import partial

import pytest
import torch

from lit_seq.cells import LSTM, FeedForward
from lit_seq.cores import DelayTaps, Stack
from lit_seq.errors import UserError


def test_the_line_by_hand():
    outputs, state = DelayTaps(2, taps=3)(torch.tensor([[[1.0, 10.0]], [[2.0, 20.0]], [[3.0, 30.0]]]))
    assert outputs[:, 0].tolist() == [[1, 10, 0, 0, 0, 0], [2, 20, 1, 10, 0, 0], [3, 30, 2, 20, 1, 10]]
    assert state.seen[0].tolist() == [[1, 10], [2, 20], [3, 30]]


def test_a_sequence_shorter_than_the_line_keeps_its_zeros():
    inputs = torch.tensor([[[1.0], [4.0]], [[2.0], [5.0]], [[3.0], [torch.nan]]])
    core = DelayTaps(1, taps=4)
    outputs, state = core(inputs, None, torch.tensor([3, 2]))
    assert core.summary(state).tolist() == [[3, 2, 1, 0], [5, 4, 0, 0]]
    assert outputs[:, 1].tolist() == [[4, 0, 0, 0], [5, 4, 0, 0], [0, 0, 0, 0]]


def test_a_line_goes_on_from_its_state():
    core, inputs = DelayTaps(2, taps=4), torch.randn(7, 3, 2)
    whole, end = core(inputs)
    # The second part is shorter than the line.
    outputs, state = [], None
    for part in inputs.split([3, 2, 2]):
        of_part, state = core(part, state)
        outputs.append(of_part)
    assert torch.equal(torch.cat(outputs), whole)
    assert torch.equal(state.seen, end.seen)
    assert torch.equal(core.summary(state), whole[-1])


@pytest.mark.usefixtures("double")
def test_feed_forward_layers_on_the_line_are_a_convolution_over_time():
    torch.manual_seed(0)
    core = DelayTaps(3, 4, partial(Stack, cell=partial(FeedForward, activation="relu"), hidden_size=5))
    cell = core.reader.layers[0][0]
    inputs = torch.randn(9, 2, 3)
    # Lag 0 is the last place of a kernel.
    kernel = cell.weight_input.unflatten(1, (4, 3)).flip(1).transpose(1, 2)
    padded = torch.nn.functional.pad(inputs.permute(1, 2, 0), (3, 0))
    expected = torch.conv1d(padded, kernel, cell.bias).relu().permute(2, 0, 1)
    torch.testing.assert_close(core(inputs)[0], expected, rtol=1e-12, atol=1e-12)


def test_a_reader_that_reads_both_ways_makes_it_so():
    assert DelayTaps(3).causal
    assert DelayTaps(3, reader=partial(Stack, cell=LSTM)).causal
    assert not DelayTaps(3, reader=partial(Stack, bidirectional=True)).causal


def test_no_taps_are_refused():
    with pytest.raises(UserError, match=r"taps is 0; it must be at least 1\."):
        DelayTaps(1, 0)
