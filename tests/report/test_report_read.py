import json
import math

import pytest
from fake_sweep import play_samples, quickstart, write_trial

from lit_seq.errors import UserError
from lit_seq.report.read import read_runs


@pytest.fixture
def folder(tmp_path):
    rows = [{"step": 10, "epoch": 0, "val/loss": 2.0}, {"step": 20, "epoch": 0, "val/loss": 1.5}]
    return write_trial(tmp_path / "run", {"seed_everything": 4}, rows, samples=play_samples())


def only_run(folder):
    [run] = read_runs(folder)
    return run


def test_sweep_folder_folder_of_runs_and_run_folder(tmp_path, folder):
    quickstart(tmp_path / "quick")
    assert [run.name for run in read_runs(tmp_path / "quick")] == [f"{n:04d}" for n in range(6)]
    assert only_run(folder).seed == 4
    assert len(read_runs(tmp_path)) == 7
    assert {run.sweep.name for run in read_runs(tmp_path)} == {"quick", "run"}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_no_folder_or_no_trial_is_the_users_to_mend(tmp_path, make):
    make(tmp_path / "runs")
    with pytest.raises(UserError, match="runs"):
        read_runs(tmp_path / "runs")


def test_last_line_cut_in_the_middle_of_a_number_is_left_out(folder):
    with (folder / "metrics.csv").open("a") as file:
        file.write("30,0,1.2")  # was to be 1.2345
    run = only_run(folder)
    assert run.metrics["val/loss"].to_dict() == {10: 2.0, 20: 1.5}
    assert run.problems == ["metrics.csv: 1 damaged line left out."]


def test_logged_nan_and_empty_cell_stay_apart(folder):
    (folder / "metrics.csv").write_text("step,epoch,a,b\n1,0,nan,\n2,0,,3\n3,0,inf,4\n")
    metrics = only_run(folder).metrics
    assert list(metrics["a"].index) == [1, 3]
    assert math.isnan(metrics["a"][1])
    assert metrics["a"][3] == math.inf
    assert metrics["b"].to_dict() == {2: 3.0, 3: 4.0}


def test_steps_logged_again_after_a_resumption_count_once(folder):
    (folder / "metrics.csv").write_text("step,epoch,a\n1,0,9\n2,0,8\n3,0,7\n2,0,5\n3,0,4\n")
    assert only_run(folder).metrics["a"].to_dict() == {1: 9.0, 2: 5.0, 3: 4.0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "step",
        "loss\n1\n",
        "\x00\x00",
        'step,a\n1,"' + 200_000 * "x" + '"\n',
        "step,a\nx,1\ny,2\n",
        "a,b,c\n1,2,3,4,5\n",
    ],
)
def test_damaged_metrics_do_not_stop_the_report(folder, content):
    (folder / "metrics.csv").write_text(content)
    assert only_run(folder).metrics == {}


def test_lines_with_too_many_or_unreadable_cells(folder):
    (folder / "metrics.csv").write_text("step,epoch,a\n1,0,1\n?,0,2\n3,0,3\n")
    run = only_run(folder)
    assert run.metrics["a"].to_dict() == {1: 1.0, 3: 3.0}
    assert "1 damaged line" in run.problems[0]


def test_damaged_samples_are_counted_and_the_others_kept(folder):
    with (folder / "samples.jsonl").open("a") as file:
        file.write('[1, 2]\n{"step": 3}\n{"step": 5, "mom')
    run = only_run(folder)
    assert [sample.moment for sample in run.samples] == ["start", "middle", "end"]
    assert run.problems == ["samples.jsonl: 3 damaged lines left out."]


def test_damaged_status_is_a_failed_trial_with_the_reason(tmp_path):
    sweep = quickstart(tmp_path / "quick")
    (sweep / "trials" / "0003" / "status.json").write_text('{"state": "fini')
    (sweep / "trials" / "0004" / "status.json").unlink()
    states = {run.name: (run.status.state, run.status.reason) for run in read_runs(sweep)}
    assert states["0003"][0] == "failed"
    assert "damaged" in states["0003"][1]
    assert states["0004"][0] == "queued"


def test_damaged_config_is_noted(folder):
    (folder / "config.yaml").write_text("a: [1,\n b: }")
    run = only_run(folder)
    assert run.config == {}
    assert "config.yaml could not be read" in run.problems[0]


def test_metrics_that_only_some_trials_have(tmp_path):
    write_trial(tmp_path / "a", {}, [{"step": 1, "epoch": 0, "x": 1.0}])
    write_trial(tmp_path / "b", {}, [{"step": 1, "epoch": 0, "y": 1.0}])
    assert [set(run.metrics) for run in read_runs(tmp_path)] == [{"x"}, {"y"}]


def test_seed_comes_from_whichever_file_has_it(tmp_path):
    folder = write_trial(tmp_path / "a", {}, [], config={"seed_everything": 7})
    status = json.loads((folder / "status.json").read_text())
    for own, expected in (
        ({"seed": None}, 7),
        ({"seed": None, "overrides": {"seed_everything": 8}}, 8),
        ({"seed": 9}, 9),
    ):
        (folder / "status.json").write_text(json.dumps(status | own))
        assert only_run(folder).seed == expected
