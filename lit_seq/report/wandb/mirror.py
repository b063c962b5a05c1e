"""What a sweep says as a whole, as a W&B run of its group: table, charts and the HTML file."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from lit_seq.report import sections
from lit_seq.report.charts import charts
from lit_seq.report.document import Document
from lit_seq.report.figures import theme
from lit_seq.report.figures.figure import Figure
from lit_seq.report.wandb.address import slug
from lit_seq.report.wandb.tables import comparison
from lit_seq.run_folder import Status
from lit_seq.training.wandb_common import keep_quiet

JOB_TYPE = "report"
"""W&B's job type of that run, by which it is told from trials."""


def mirror_sweep(folder: Path, document: Document, report: Path) -> None:
    """Log a sweep's report to W&B the way its trials were logged: online, offline or not at all.

    After a resumption it goes to the same W&B run again. What fails is said, and harms nothing.

    Args:
        folder: the sweep's folder.
        document: the report.
        report: its HTML file.
    """
    try:
        _mirror(folder, document, report)
    except Exception as error:
        # Whatever W&B's client or server does, the sweep is done.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        print(f"The report is not at W&B: {reason}.", file=sys.stderr)


def _mirror(folder: Path, document: Document, report: Path) -> None:
    trial = next((path.parent for path in sorted(folder.glob("trials/*/config.yaml"))), None)
    run_id = trial and Status.read(trial).wandb_run_id
    if trial is None or run_id is None:
        return
    from lit_seq.training.wandb_run import Wandb, WandbRun

    keep_quiet()
    given = yaml.safe_load((trial / "config.yaml").read_text(encoding="utf-8")).get("wandb") or {}
    own = {name: given[name] for name in ("project", "entity", "mode") if name in given}
    settings = Wandb(**own, group=folder.name)
    if settings.resolved_mode() == "disabled":
        return
    import wandb

    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    config = {"sweep": (folder / "sweep.yaml").read_text(encoding="utf-8"), "environment": environment}
    # The first trial keeps its id over all resumptions, and no two sweeps have the same.
    run = WandbRun(folder, settings, f"{run_id}-report", config, JOB_TYPE)
    drawn = charts(document, sections.shown(document))
    logged = {"comparison": comparison(document)} | {
        f"charts/{name}": wandb.Plotly(_plotly(figure)) for name, figure in drawn.items()
    }
    run.log_metrics(logged, step=len(environment.get("resumed", [])))
    if run.experiment.offline:
        # What waits for `wandb sync` stays as it is now, whatever becomes of the folder's report.
        report = Path(shutil.copy(report, Path(run.experiment.dir).parent))
    artifact = wandb.Artifact(f"report-{slug(folder.name)}", type="report")
    artifact.add_file(str(report), name="report.html", policy="immutable")
    run.experiment.log_artifact(artifact)
    run.close(0)
    run.join()


def _plotly(figure: Figure) -> Any:
    import plotly.graph_objects

    layout = figure.layout | {"template": theme.TEMPLATES["light"], "height": theme.height(figure)}
    return plotly.graph_objects.Figure({"data": figure.data, "layout": layout})
