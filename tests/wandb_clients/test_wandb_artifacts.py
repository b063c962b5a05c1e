"""Run folders kept at W&B as artifacts, and brought back."""

import shutil

import pytest
from server_artifacts import Artifact
from test_wandb_runs import mirrored

from lit_seq.errors import UserError
from lit_seq.training.wandb_artifacts import best_checkpoint


def models(server) -> list[Artifact]:
    return [one for one in server.artifacts.values() if one.type == "model"]


@pytest.mark.slow
def test_a_run_goes_on_from_its_artifact_on_another_machine(workplace, server):
    whole = workplace.fit("--wandb.mode", "disabled", name="whole")
    assert whole.returncode == 0, whole.stderr
    done = workplace.fit("--trainer.max_steps", "10", "--wandb.log_model", "true", "--wandb.project", "p")
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    (kept,) = models(server)
    assert (kept.name, kept.type, kept.committed) == (f"model-{run.id}", "model", True)
    assert {"config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"} < set(kept.files)
    folder = workplace.folder / "runs" / "one"
    assert kept.files["checkpoints/last.ckpt"] == (folder / "checkpoints" / "last.ckpt").read_bytes()
    reference = f"wandb:team/p/model-{run.id}:latest"

    refused = workplace.run("lit-seq", "fit", "--ckpt_path", reference)
    assert refused.returncode == 2
    assert "runs/one holds a run already" in refused.stderr
    shutil.rmtree(folder)
    resumed = workplace.run("lit-seq", "fit", "--ckpt_path", reference, "--trainer.max_steps", "20")

    assert resumed.returncode == 0, resumed.stderr
    assert list(server.runs) == [run.id]
    assert workplace.metrics("one") == workplace.metrics("whole")
    rows = mirrored(run)
    rows.pop(0, None)
    assert rows == workplace.metrics("one")
    assert [one.version for one in models(server)] == [0, 1]
    tested = workplace.run("lit-seq", "test", "--ckpt_path", reference.replace("latest", "v0"))
    assert tested.returncode == 0, tested.stderr
    assert (workplace.folder / "runs" / f"model-{run.id}-v0" / "metrics.csv").exists()


@pytest.mark.slow
def test_an_artifact_that_is_not_there_is_one_sentence(workplace, server):
    done = workplace.run("lit-seq", "sample", "--ckpt", "wandb:team/p/model-none")
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("lit-seq: W&B does not give wandb:team/p/model-none: ")
    assert not (workplace.folder / "runs").exists()


@pytest.mark.parametrize(
    "reference", ["wandb:model", "wandb:a/b/c/d:latest", "wandb:team/p/model:v0:v1", "wandb:"]
)
def test_what_names_no_artifact_is_refused(tmp_path, reference):
    with pytest.raises(UserError, match="names no artifact"):
        best_checkpoint(reference, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
