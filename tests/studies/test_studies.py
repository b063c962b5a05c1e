"""The studies: what their small forms should say comes out by interval, and their full forms begin."""

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

from lit_seq.cli import main
from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.rehearsal import rehearse
from lit_seq.sweep.search import Search
from lit_seq.sweep.trial import trial_arguments

ROOT = Path(__file__).parent.parent.parent

STUDIES = ("clipping", "identity_init", "forget_bias", "copying", "architectures")

MATTERS_MOST = {"architectures": "optimizer.lr"}
"""Setting that explains most of the variance, in studies that ask."""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to a folder of their own, from which the studies' files are seen, and to no W&B run."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("sweeps", "reports"):
        Path(tmp_path, name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("study", STUDIES)
def test_small_form_comes_out(study: str) -> None:
    # 1 says that a trial diverged, which is what some studies are about.
    assert lit_seq("sweep", f"sweeps/{study}.yaml") in (0, 1)
    assert lit_seq("report", f"reports/{study}.yaml", "--format", "json", "-o", "report.json") == 0
    report = json.loads(Path("report.json").read_text())
    orderings = yaml.safe_load(Path(f"reports/{study}.yaml").read_text())["orderings"]
    assert report["missing"] == 0
    assert [one["ordering"] for one in report["outcomes"]] == orderings
    assert {one["outcome"] for one in report["outcomes"]} == {"came out"}, report["outcomes"]
    if study in MATTERS_MOST:
        assert next(iter(report["importance"][0]["shares"])) == MATTERS_MOST[study]


@pytest.mark.parametrize("study", STUDIES)
def test_full_form_begins(study: str) -> None:
    file = read_sweep_file(Path(f"sweeps/full/{study}.yaml"))
    search = Search(file)
    rehearse(Path("runs", study), search, seed=0)
    points = list(search.points(seed=0))
    assert len(points) == search.size
    for number in (0, len(points) - 1):
        folder, values = Path("runs", study, "trials", f"{number:04}"), search.values(points[number])
        Path("values.json").write_text(json.dumps(values))
        begin = {"--trainer.max_steps": "1", "--wandb.mode": "disabled"}
        arguments = trial_arguments(file, values, folder, Path("values.json"))
        assert main([*arguments, *chain.from_iterable(begin.items())]) == 0
        assert json.loads((folder / "status.json").read_text())["step"] == 1


def lit_seq(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", "lit_seq", *words]).returncode
