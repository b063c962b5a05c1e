"""Reports on runs at W&B, and reports saved there, with the real clients."""

import json
import math
import shutil
from pathlib import Path

import pytest
from wandb_server import Run, Sweep, WandbServer
from wandb_workplace import Workplace

SWEEP = {
    "name": "cells",
    "description": "Which cell adds best?",
    "project": "adding",
    "method": "grid",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "parameters": {
        "model.core.cell": {"values": ["Elman", "LSTM"]},
        "seed_everything": {"values": [1, 2]},
        "optimizer": {"parameters": {"lr": {"values": [0.01]}}},
    },
    "command": ["${env}", "lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
}


def report(workplace: Workplace, source: str) -> dict:
    """Return what `lit-seq report SOURCE --format json` writes."""
    done = workplace.run("lit-seq", "report", source, "--format", "json", "-o", "report.json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads((workplace.folder / "report.json").read_text())


def agents_run(name: str, cell: str, seed: int, values: list[float], state: str = "finished") -> Run:
    """Return a run of W&B's agent and a WandbLogger, which knows nothing of lit-seq."""
    history = [
        {"_step": 3 * at, "trainer/global_step": 10 * at, "_runtime": at, "epoch": 0, "val/loss": value}
        for at, value in enumerate(values)
    ]
    config = {"model.core.cell": cell, "seed_everything": seed, "trainer": {"max_steps": 100}}
    summary = {"_runtime": 12.5, "val/loss": values[-1] if values else None}
    seen = {"summary": summary, "history": history, "state": state}
    return Run(name, "adding", f"bright-{name}", sweep="k3j2", config=config, **seen)


def test_a_sweep_of_wandb_is_reported_on(workplace, server):
    server.sweeps["k3j2"] = Sweep("k3j2", "adding", SWEEP, iter(()))
    runs = [
        agents_run("a1", "LSTM", 1, [0.5, 0.25]),
        agents_run("a2", "LSTM", 2, [0.5, math.nan, 0.75]),
        agents_run("a3", "Elman", 1, [0.5, 0.375], "crashed"),
        agents_run("a4", "Elman", 2, [], "running"),
        Run("z9", "adding", "other", state="finished"),
    ]
    server.runs |= {run.id: run for run in runs}

    said = report(workplace, "wandb:team/adding/sweeps/k3j2")

    assert (said["title"], said["question"], said["metric"]) == ("cells", "Which cell adds best?", "val/loss")
    trials = {
        trial["name"]: (trial["state"], trial["label"], trial["seed"], trial["step"])
        for trial in said["trials"]
    }
    assert trials == {
        "bright-a1": ("finished", "LSTM", 1, 11),
        "bright-a2": ("finished", "LSTM", 2, 21),
        "bright-a3": ("failed", "Elman", 1, 11),
        "bright-a4": ("running", "Elman", 2, 0),
    }
    best, other = said["rows"]
    assert (best["label"], best["scores"], best["mean"], best["seconds"]) == (
        "LSTM",
        [0.25, 0.5],
        0.375,
        12.5,
    )
    assert (other["label"], other["mean"], other["so_far"]) == ("Elman", None, 0.375)
    (lines,) = [curve["lines"] for curve in said["panels"][0]["curves"] if curve["label"] == "LSTM"]
    assert [(line["steps"], line["values"]) for line in lines] == [
        ([0, 10], [0.5, 0.25]),
        ([0, 20], [0.5, 0.75]),
    ]
    assert said["trials"][0]["url"] == f"{server.url}/team/adding/runs/a1"
    assert said["sources"][0]["url"] == f"{server.url}/team/adding/sweeps/k3j2"
    assert any("NaN" in note and "bright-a2" in note for note in said["notes"])
    assert any("stands in run folders alone" in note for note in said["notes"])


@pytest.mark.slow
def test_a_sweep_trained_online(workplace, server):
    """One test: the sweep is what takes its time."""
    workplace.write("sweep.yaml", SWEEP)
    done = workplace.run("lit-seq", "sweep", "sweep.yaml", seconds=600)
    assert done.returncode == 0, done.stderr
    assert "not at W&B" not in done.stderr

    said = report(workplace, "runs/cells")
    the_report_of_the_group_is_that_of_the_folders(workplace, said)
    a_report_file_names_folders_and_wandb(workplace)
    table_charts_and_page_are_a_run_of_the_group(workplace, server, said)
    the_report_is_saved_at_wandb(workplace, server, said)
    for source, said in (
        ("wandb:team/nowhere", "W&B has nothing at wandb:team/nowhere"),
        ("wandb:team/adding/groups/nobody", "W&B has no run at wandb:team/adding/groups/nobody"),
        ("wandb:team/adding/sweeps/none", "W&B has nothing at wandb:team/adding/sweeps/none"),
    ):
        check_refused(workplace, source, said)
    runs_that_never_came_to_wandb_make_no_report_there(workplace)
    a_resumed_sweep_goes_on_with_its_report_run(workplace, server)
    a_server_that_went_away_costs_the_report_run_alone(workplace)


def trial_statuses(workplace: Workplace) -> list[dict]:
    folders = sorted((workplace.folder / "runs" / "cells" / "trials").iterdir())
    return [json.loads((folder / "status.json").read_text()) for folder in folders]


def the_report_of_the_group_is_that_of_the_folders(workplace: Workplace, said: dict) -> None:
    folders, wandb = dict(said), report(workplace, "wandb:team/adding/groups/cells")
    places = {"folder", "url", "notes", "written", "said"}
    for part in ("sources", "trials"):
        folders[part], wandb[part] = (
            [{key: value for key, value in one.items() if key not in places} for one in written[part]]
            for written in (folders, wandb)
        )
    assert len(folders["rows"]) == 2
    assert all(row["interval"] for row in folders["rows"])
    assert folders["sources"][0]["environment"]["command"].endswith("sweep sweep.yaml")
    same = [key for key in folders if key not in places]
    assert {key: wandb[key] for key in same} == {key: folders[key] for key in same}
    assert folders["said"]
    assert not wandb["said"]


def a_report_file_names_folders_and_wandb(workplace: Workplace) -> None:
    ids = [status["wandb_run_id"] for status in trial_statuses(workplace)]
    runs = ["runs/cells", f"wandb:team/adding/runs/{ids[0]}"]
    workplace.write("both.yaml", {"runs": runs, "metric": "val/loss", "compare_by": ["model.core.cell"]})
    said = report(workplace, "both.yaml")
    assert [trial["wandb_run_id"] for trial in said["trials"]] == [*ids, ids[0]]
    assert [len(row["scores"]) for row in said["rows"]] == [2, 2]
    assert any("seed 1 was run 2 times" in note for note in said["notes"])


def table_charts_and_page_are_a_run_of_the_group(
    workplace: Workplace, server: WandbServer, said: dict
) -> None:
    first = trial_statuses(workplace)[0]["wandb_run_id"]
    (run,) = [run for run in server.runs.values() if run.job_type == "report"]
    assert (run.id, run.group, run.project, run.state) == (f"{first}-report", "cells", "adding", "finished")
    assert run.config["sweep"] == (workplace.folder / "runs/cells/sweep.yaml").read_text()
    (table,) = [json.loads(content) for name, content in run.files.items() if "comparison" in name]
    assert [(line[0], line[4], line[5:7]) for line in table["data"]] == [
        (row["label"], row["mean"], list(row["interval"].values())) for row in said["rows"]
    ]
    drawn = {
        name.rpartition("/")[2].partition("_")[0] for name in run.files if name.startswith("media/plotly")
    }
    assert {"curves-0", "curves-1", "intervals-0"} <= drawn
    page = (workplace.folder / "runs/cells/report.html").read_bytes()
    kept = [one for one in server.artifacts.values() if one.type == "report"]
    assert [(one.name, one.files["report.html"] == page, one.committed) for one in kept] == [
        ("report-cells", True, True)
    ]


def a_resumed_sweep_goes_on_with_its_report_run(workplace: Workplace, server: WandbServer) -> None:
    copy = workplace.folder / "again" / "cells"
    shutil.copytree(workplace.folder / "runs" / "cells", copy, dirs_exist_ok=True)
    before = set(server.runs)
    done = workplace.run("lit-seq", "sweep", "sweep.yaml", "--runs_dir", "again", "--resume", seconds=600)
    assert done.returncode == 0, done.stderr
    assert set(server.runs) == before
    (run,) = [run for run in server.runs.values() if run.job_type == "report"]
    assert [row["_step"] for row in run.history] == [0, 1]
    assert run.state == "finished"


def the_report_is_saved_at_wandb(workplace: Workplace, server: WandbServer, said: dict) -> None:
    done = workplace.run("lit-seq", "report", "runs/cells", "--format", "wandb")
    assert done.returncode == 0, done.stderr
    (view,) = server.views.values()
    assert done.stdout.strip().endswith(f"/team/adding/reports/cells--{view['id']}")
    assert (view["displayName"], view["description"]) == ("cells", "Which cell adds best?")
    blocks = json.loads(view["spec"])["blocks"]
    (grid,) = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    (runs,) = grid["runSets"]
    assert runs["filters"]["filters"][0]["value"] == [
        one["wandb_run_id"] for one in trial_statuses(workplace)
    ]
    assert [one["name"] for one in runs["grouping"]] == [
        "model.value.init_args.core.init_args.cell.class_path"
    ]
    assert any(said["answer"] in json.dumps(block, ensure_ascii=False) for block in blocks)


def a_server_that_went_away_costs_the_report_run_alone(workplace: Workplace) -> None:
    copy = workplace.folder / "copies" / "cells"
    shutil.copytree(workplace.folder / "runs" / "cells", copy, dirs_exist_ok=True)
    program = (
        "import sys; from pathlib import Path; from lit_seq.report.document import build; "
        "from lit_seq.report.plan import Plan; from lit_seq.report.wandb.mirror import mirror_sweep; "
        "folder = Path(sys.argv[1]); mirror_sweep(folder, build(Plan.of(folder)), folder / 'report.html')"
    )
    own = dict(workplace.environment)
    try:
        workplace.environment |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "3"}
        done = workplace.run("python", "-c", program, str(copy))
    finally:
        workplace.environment = own
    assert done.returncode == 0, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("The report is not at W&B: W&B at http://127.0.0.1:9 does not take the run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WANDB_API_KEY": None}, "There is no login to W&B on this machine"),
        ({"WANDB_API_KEY": "b" * 40}, "does not answer as it should (Failed to verify credentials"),
        (
            {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_HTTP_TIMEOUT": "3"},
            "http://127.0.0.1:9 does not answer",
        ),
    ],
    ids=["no-login", "wrong-key", "no-server"],
)
def test_without_a_server_that_answers_one_sentence_is_said(workplace, server, variables, said):
    for name, value in variables.items():
        workplace.environment.pop(name, None)
        workplace.environment |= {} if value is None else {name: value}
    check_refused(workplace, "wandb:team/adding", said)


def runs_that_never_came_to_wandb_make_no_report_there(workplace: Workplace) -> None:
    copy = workplace.folder / "copies" / "cells"
    shutil.copytree(workplace.folder / "runs" / "cells", copy, dirs_exist_ok=True)
    for path in copy.glob("trials/*/status.json"):
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"wandb_run_id": f"gone{path.parent.name}"})
        )
    check_refused(workplace, str(copy), "W&B has none of these runs in team/adding", "--format", "wandb")


def check_refused(workplace: Workplace, source: str, said: str, *options: str) -> None:
    done = workplace.run("lit-seq", "report", source, *options)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("lit-seq: ")
    assert said in line
    assert done.stdout == ""
    assert not list(Path(workplace.folder).glob("*.html"))
