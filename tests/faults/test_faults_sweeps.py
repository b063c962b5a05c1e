"""Sweeps survive what a shared cluster does to them; LIT_SEQ_FAULTS and LIT_SEQ_SEED ask for others."""

import os
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc"),
]


def test_every_fault_is_survived(capsys: pytest.CaptureFixture) -> None:
    from breaking import run, table

    faults, seed = int(os.environ.get("LIT_SEQ_FAULTS", 200)), int(os.environ.get("LIT_SEQ_SEED", 1))
    tally, missing = run(faults, seed)
    with capsys.disabled():
        print(f"\n{table(tally, missing)}")
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.survived.total() >= faults
