"""`lit-seq list operators`."""

import pytest

from lit_seq import cells
from lit_seq.cli import main
from lit_seq.scan import native


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["list", "operators"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("operators (")
    pairs = (line.strip().split("  ", 1) for line in lines)
    return {name: why.strip() for name, why in pairs}


def test_the_list_says_what_is_in_use_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "instructions", lambda: "AVX-512")
    if native.unavailable() is not None:
        pytest.skip(f"{native.unavailable()}")
    found = rows(capsys)
    for name in ("Elman, cpu", "Elman, relu from identity, cpu", "LSTM, cpu", "GRU, cpu", "Leaky, cpu"):
        assert found[name].startswith(f"native: C++ with {native.instructions()}")
    assert found["LSTM, coupled, cpu"].startswith("native: ")
    assert found["LSTM, peepholes, cpu"].startswith("fused: ")
    assert "peepholes" in found["LSTM, peepholes, cpu"]
    assert found["Elman, softsign, cpu"] == "loop: the operators have no softsign"
    for name in cells.__all__:
        kind = getattr(cells, name)
        listed = issubclass(kind, cells.Cell) and kind is not cells.Cell
        assert (f"{name}, cpu" in found) == listed
    large = found["LSTM, hidden 512, cpu"]
    assert large.startswith("alone library: oneDNN")
    assert "; in a pack native: " in large


def test_the_list_says_why_there_is_nothing_native(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    found = rows(capsys)
    assert found["GRU, cpu"].startswith("fused: ")
    assert found["LSTM, cpu"].startswith("alone library: ")
    assert "LIT_SEQ_NATIVE=0" in found["GRU, cpu"]
    assert "LIT_SEQ_NATIVE=0" in found["LSTM, cpu"]
