"""Decoders against their equations written out, and searches against all answers that there are."""

import itertools
import math
from functools import partial

import pytest
import torch

from lit_seq.cells import LSTM, BatchNormLSTM, Elman
from lit_seq.cores import NTM, Stack
from lit_seq.errors import UserError
from lit_seq.topologies import Beam, Greedy, Sampled
from lit_seq.topologies.decoding import Decoder, Encoded, ScheduledSampling

TOKENS, END, STEPS = 4, 3, 4

pytestmark = pytest.mark.usefixtures("double")


def build(context="state", attention=None, cell=Elman, seed=0, **options):
    torch.manual_seed(seed)
    core = partial(Stack, cell=cell, hidden_size=5)
    memory = {} if attention is None else {"memory_size": 3, "score": attention}
    return Decoder(core, TOKENS, END, options.pop("embedding_size", 2), 6, context, **memory, **options)


def encoded(batch=3, seed=1, lengths=(4, 1, 3)):
    generator = torch.Generator().manual_seed(seed)
    memory = torch.randn(4, batch, 3, generator=generator)
    return Encoded(torch.randn(batch, 6, generator=generator), memory, torch.tensor(lengths))


def by_hand(decoder, given, row, tokens):
    """Probabilities of the tokens that follow each of `tokens`, for one input."""
    cell, c = decoder.core.layers[0][0], given.summary[row]
    h = torch.zeros(5)
    if decoder.context != "input":
        h = torch.tanh(decoder.bridge.weight @ c + decoder.bridge.bias)
    found = []
    for token in tokens:
        x = decoder.features.embedding.weight[token]
        if decoder.context != "state":
            x = torch.cat([x, c])
        h = torch.tanh(cell.weight_input @ x + cell.weight_recurrent @ h + cell.bias)
        said = h
        if decoder.attention is not None:
            states = given.memory[: given.lengths[row], row]
            keys = states @ decoder.attention.keys.weight.T
            weights = torch.softmax(torch.stack([h @ key for key in keys]), 0)
            seen = sum(weight * state for weight, state in zip(weights, states, strict=True))
            said = torch.tanh(decoder.combine.weight @ torch.cat([seen, h]) + decoder.combine.bias)
        found.append(torch.softmax(decoder.head.weight @ said + decoder.head.bias, 0))
    return torch.stack(found)


@pytest.mark.parametrize("attention", [None, "general"])
@pytest.mark.parametrize("context", ["state", "input", "both"])
def test_all_steps_at_once_and_one_by_one_are_the_equations(context, attention):
    decoder, given = build(context, attention), encoded()
    tokens = torch.tensor([[END, 0, 2, 1], [END, 1, 1, 0], [END, 2, 0, 0]])
    state = decoder.start(given)
    scores, _, weights = decoder(tokens, state)
    stepwise = []
    for column in tokens.unbind(1):
        step, state = decoder.step(column, state)
        stepwise.append(step)
    torch.testing.assert_close(torch.stack(stepwise), scores, rtol=0, atol=1e-12)
    for row in range(3):
        expected = by_hand(decoder, given, row, tokens[row])
        torch.testing.assert_close(torch.softmax(scores[:, row], -1), expected, rtol=0, atol=1e-12)
    if attention is None:
        assert weights is None
    else:
        assert weights.shape == (4, 3, 1, 4)
        assert weights[:, 1, :, 1:].abs().max() == 0


def test_the_summary_sets_both_parts_of_an_lstm_and_adds_to_a_learned_start():
    decoder = build(cell=LSTM)
    start = decoder.start(encoded()).core[0][0]
    features = torch.tanh(encoded().summary @ decoder.bridge.weight.T + decoder.bridge.bias)
    torch.testing.assert_close(torch.cat(start, -1), features, rtol=0, atol=1e-12)
    learned = Decoder(
        partial(Stack, cell=Elman, hidden_size=5, learned_initial_state=True), TOKENS, END, 2, 6, "state"
    )
    with torch.no_grad():
        learned.core.initial[0].fill_(2.0)
        learned.bridge.weight.zero_()
        learned.bridge.bias.zero_()
    assert (learned.start(encoded()).core[0][0].h == 2).all()


def probability(decoder, given, row, answer):
    """ln p of one answer, which ends by the end token or is as long as may be."""
    with torch.no_grad():
        odds = by_hand(decoder, given, row, [END, *answer[:-1]])
    return sum(math.log(odds[step, token]) for step, token in enumerate(answer))


def all_answers():
    """Every sequence that ends, and every one that is cut at the limit."""
    words = range(TOKENS - 1)
    for length in range(STEPS):
        for body in itertools.product(words, repeat=length):
            yield [*body, END]
    yield from map(list, itertools.product(words, repeat=STEPS))


@pytest.mark.parametrize("penalty", [0.0, 0.6, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_wide_beams_find_the_best_of_all_answers(penalty, seed):
    decoder, given = build("both", "general", seed=seed), encoded(seed=seed)
    with torch.no_grad():
        decoder.head.weight.mul_(4)
    search = Beam(END, STEPS, TOKENS**STEPS, penalty)
    with torch.no_grad():
        found = search(decoder.step, decoder.start(given), torch.full((3,), END))
    for row in range(3):
        scored = {
            tuple(answer): probability(decoder, given, row, answer) / ((5 + len(answer)) / 6) ** penalty
            for answer in all_answers()
        }
        best = max(scored, key=scored.get)
        assert found[row].tolist() == [*best, *[END] * (STEPS - len(best))]


def greedily(decoder, given, row):
    answer = []
    while len(answer) < STEPS and END not in answer:
        answer.append(int(by_hand(decoder, given, row, [END, *answer])[-1].argmax()))
    return answer + [END] * (STEPS - len(answer))


@pytest.mark.parametrize("attention", [None, "general"])
def test_greedy_takes_the_likeliest_and_is_a_single_beam(attention):
    found = set()
    for seed in range(4):
        decoder, given = build("both", attention, seed=seed), encoded(seed=seed)
        with torch.no_grad():
            decoder.head.weight.mul_(9)
            for search in (Greedy(END, STEPS), Beam(END, STEPS, 1)):
                answers = search(decoder.step, decoder.start(given), torch.full((3,), END)).tolist()
                assert answers == [greedily(decoder, given, row) for row in range(3)]
        found |= {answer.index(END) for answer in answers if END in answer}
    assert len(found) > 1


@pytest.mark.parametrize("search", [Greedy(END, 9), Beam(END, 9, 3), Beam(END, 9, 3, 0)])
def test_an_answer_does_not_depend_on_its_neighbours(search):
    decoder, given = build("both", "general", seed=5), encoded()
    with torch.no_grad():
        decoder.head.weight.mul_(9)
        together = search(decoder.step, decoder.start(given), torch.full((3,), END))
        for row, length in enumerate(given.lengths.tolist()):
            one = Encoded(given.summary[row : row + 1], given.memory[:length, row : row + 1])
            alone = search(decoder.step, decoder.start(one), torch.full((1,), END))
            assert alone.tolist() == [together[row].tolist()]


def test_short_answers_have_an_advantage_without_a_penalty():
    # Ends at once with p = .5; else one token with p = .25 each, and then ends for certain: .5 against .25.
    def step(tokens, first):
        odds = torch.where(first, torch.tensor([0.25, 0.25, 0.0, 0.5]), torch.tensor([0.0, 0.0, 0.0, 1.0]))
        return odds.log(), torch.zeros_like(first)

    start = torch.ones(1, 1, dtype=torch.bool)
    first = torch.tensor([END])
    # ln .5 / 1 = -.69 against ln .25 / (7/6)^α.
    for penalty, ends in ((0.0, True), (4.0, True), (5.0, False)):
        answer = Beam(END, 3, 4, penalty)(step, start, first)
        assert (answer[0, 0] == END) == ends
        assert ends == (math.log(0.5) > math.log(0.25) / (7 / 6) ** penalty)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_draws_have_the_odds_of_the_model(temperature):
    odds = torch.tensor([0.1, 0.2, 0.3, 0.4])
    torch.manual_seed(0)
    drawn = Sampled(END, 1, temperature)(
        lambda tokens, state: (odds.log().expand(len(tokens), -1), state), (), torch.full((20_000,), END)
    )
    expected = odds ** (1 / temperature)
    found = torch.bincount(drawn.flatten(), minlength=4) / 20_000
    torch.testing.assert_close(found, expected / expected.sum(), rtol=0, atol=0.015)


def test_the_number_of_tokens_can_be_predicted():
    decoder, given = build(longest=STEPS - 1), encoded()
    with torch.no_grad():
        scores, _, _ = decoder(torch.tensor([[END, 0]] * 3), decoder.start(given))
        assert (scores[..., END] == -torch.inf).all()
        said = (given.summary @ decoder.count.weight.T + decoder.count.bias).argmax(-1).tolist()
        for search in (Greedy(END, STEPS), Beam(END, STEPS, 3), Sampled(END, STEPS)):
            answers = search(decoder.step, decoder.start(given), torch.full((3,), END))
            assert [row.index(END) if END in row else STEPS for row in answers.tolist()] == said
    assert len(set(said)) > 1


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (3, 0.4), (5, 0.6), (50, 0.6)])
def test_sampling_grows_along_its_schedule(step, rate):
    torch.manual_seed(0)
    schedule = ScheduledSampling(0.6, 6)
    taught = schedule(torch.zeros(100, 200), torch.tensor(float(step)))
    assert 1 - taught.double().mean().item() == pytest.approx(rate, abs=0.01)
    assert schedule.active
    assert not schedule.eval().active
    assert not ScheduledSampling(0.0, 1).active


def test_greedy_maps_over_trials():
    givens = [encoded(seed=seed) for seed in range(3)]
    decoder = build("both", "general", seed=2)
    stacked = torch.stack([given.summary for given in givens])
    memories = torch.stack([given.memory for given in givens])

    def answer(summary, memory):
        start = decoder.start(Encoded(summary, memory, givens[0].lengths))
        return Greedy(END, STEPS)(decoder.step, start, torch.full((3,), END))

    with torch.no_grad():
        decoder.head.weight.mul_(9)
        together = torch.func.vmap(answer)(stacked, memories)
        for one, given in zip(together, givens, strict=True):
            assert torch.equal(one, answer(given.summary, given.memory))


@pytest.mark.parametrize(
    ("core", "context", "sentence"),
    [
        (partial(Stack, bidirectional=True), "state", "Stack, does not read from left to right"),
        (NTM, "state", "core is a NTM, whose initial state .* context must be input"),
        (partial(Stack, cell=BatchNormLSTM), "state", "batch normalisation has no statistics"),
    ],
)
def test_cores_that_cannot_decode(core, context, sentence):
    with pytest.raises(UserError, match=sentence):
        Decoder(core, TOKENS, END, 2, 6, context)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Beam(END, STEPS, 0), "beams is 0; it must be at least 1"),
        (lambda: Beam(END, STEPS, 2, -1.0), r"length_penalty is -1\.0; it must not be negative"),
        (lambda: Sampled(END, STEPS, 0.0), r"temperature is 0\.0; it must be above 0"),
        (lambda: ScheduledSampling(1.5, 1), r"sampling is 1\.5; it must be from 0 to 1"),
        (lambda: ScheduledSampling(0.5, 0), "sampling_steps is 0; it must be at least 1"),
    ],
)
def test_options_out_of_range(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_other_cores_decode_too():
    torch.manual_seed(0)
    decoder = Decoder(NTM, TOKENS, END, 2, 6, "input")
    with torch.no_grad():
        for search in (Greedy(END, STEPS), Beam(END, STEPS, 2)):
            assert search(decoder.step, decoder.start(encoded()), torch.full((3,), END)).shape == (3, STEPS)
