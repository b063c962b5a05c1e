import pickle

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.data.ragged import Ragged


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5), min_size=1))
def test_gives_back_what_it_was_given(sequences):
    ragged = Ragged()
    for sequence in sequences:
        ragged.append(torch.tensor(sequence))
    again = pickle.loads(pickle.dumps(ragged))
    assert len(again) == len(sequences)
    assert list(again.lengths) == [len(sequence) for sequence in sequences]
    for index, sequence in enumerate(sequences):
        assert again[index].dtype == torch.int64
        assert again[index].tolist() == sequence


def test_what_is_changed_outside_stays_inside():
    ragged = Ragged()
    ragged.append(torch.tensor([1, 2]))
    ragged[0][0] = 7
    assert ragged[0].tolist() == [1, 2]
