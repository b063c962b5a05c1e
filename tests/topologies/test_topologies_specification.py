from functools import partial

import pytest

from lit_seq.cells import GRU, LSTM
from lit_seq.cores import Stack
from lit_seq.topologies.specification import describe


def test_nested_partials_become_plain_data():
    core = partial(Stack, cell=partial(LSTM, forget_bias=2.0), layers=3)
    assert describe(core) == {
        "class_path": "lit_seq.cores.stack.Stack",
        "init_args": {
            "cell": {"class_path": "lit_seq.cells.lstm.LSTM", "init_args": {"forget_bias": 2.0}},
            "layers": 3,
        },
    }
    assert describe(GRU) == {"class_path": "lit_seq.cells.gru.GRU", "init_args": {}}


def test_a_lambda_is_refused():
    with pytest.raises(TypeError, match="cannot be described"):
        describe(lambda size: Stack(size))
