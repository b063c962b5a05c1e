import numpy as np

from lit_seq.data.bucketing import POOL, bucketed


def padded_part(lengths, batches):
    cells = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    return 1 - sum(lengths) / cells


def test_every_example_once_an_epoch_in_full_batches():
    lengths = np.random.default_rng(0).integers(1, 60, 1003).tolist()
    order = bucketed(lengths, 8, seed=1)
    epochs = [order(epoch) for epoch in range(3)]
    for batches in epochs:
        assert sorted(i for batch in batches for i in batch) == list(range(1003))
        assert [len(batch) for batch in batches] == [8] * 125 + [3]
    assert epochs[0] != epochs[1]
    assert bucketed(lengths, 8, seed=1)(2) == epochs[2]
    assert bucketed(lengths, 8, seed=2)(2) != epochs[2]


def test_little_of_a_batch_is_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 5000).tolist()
    assert padded_part(lengths, bucketed(lengths, 16, seed=1)(0)) < 0.06
    in_turn = [list(range(start, min(start + 16, 5000))) for start in range(0, 5000, 16)]
    assert padded_part(lengths, in_turn) > 0.4


def test_batches_of_long_and_short_examples_come_in_no_order():
    lengths = list(range(1600))
    means = [np.mean([lengths[i] for i in batch]) for batch in bucketed(lengths, 16, seed=1)(0)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


def test_who_meets_whom_is_left_to_chance_beyond_a_pool():
    """Of equally long examples any two may meet."""
    lengths = [5] * (4 * POOL)
    meetings = [{frozenset(batch) for batch in bucketed(lengths, 2, seed=1)(epoch)} for epoch in range(2)]
    assert len(meetings[0] & meetings[1]) < 10
