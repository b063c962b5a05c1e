"""A report → a W&B report, saved where its runs lie."""

import os
import sys
from pathlib import Path
from typing import Any

from lit_seq.errors import UserError
from lit_seq.report.document import compose
from lit_seq.report.material import gather
from lit_seq.report.plan import Plan
from lit_seq.report.read import Run
from lit_seq.report.wandb.address import Address, is_address
from lit_seq.report.wandb.connection import answering, connect
from lit_seq.report.wandb.view import Place, view
from lit_seq.report.wording import count


def save_to_wandb(source: Path | str) -> str:
    """Save a report in the project of its runs, as a new one each time.

    Args:
        source: as for `lit_seq.report.write_report`.

    Returns:
        The address of its page.

    Raises:
        UserError: there is nothing to report on, there is no login, W&B does not answer, or it has none of
            the runs.
    """
    api = connect()
    plan = Plan.of(source)
    material = gather(plan)
    with answering():
        places = _places(api, material.runs)
        links = _links(api, places)
        report = view(compose(material, plan), places, links)
        report.save()
        return report.url


def _places(api: Any, runs: list[Run]) -> dict[Place, list[Run]]:
    """Sort runs by the project that they lie in."""
    places: dict[Place, list[Run]] = {}
    for run in runs:
        if run.status.wandb_run_id is None:
            continue
        if is_address(str(run.folder)):
            address = Address.of(str(run.folder))
            place = Place(address.entity, address.project)
        else:
            entity = run.config.get("wandb.entity") or api.default_entity
            place = Place(
                entity, run.config.get("wandb.project") or os.environ.get("WANDB_PROJECT", "lit-seq")
            )
        places.setdefault(place, []).append(run)
    return places


def _links(api: Any, places: dict[Place, list[Run]]) -> dict[str, str]:
    """Find the runs at W&B, and return the pages of their projects and groups."""
    links: dict[str, str] = {}
    there = 0
    for place, runs in places.items():
        project = f"{place.entity}/{place.project}"
        wanted = [run.status.wandb_run_id for run in runs]
        try:
            found = [run for run in api.runs(project, {"name": {"$in": wanted}})]  # noqa: C416
        except ValueError:
            # There is no such project.
            found = []
        there += len(found)
        for run in found:
            page = run.url.rpartition("/runs/")[0]
            links[f"Project {place.project}"] = page
            if run.group:
                links[f"Group {run.group}"] = f"{page}/groups/{run.group}"
    asked = sum(len(runs) for runs in places.values())
    if not there:
        raise UserError(
            f"W&B has none of these runs in {', '.join(f'{one.entity}/{one.project}' for one in places)}; "
            "send what was logged offline by `wandb sync FOLDER/wandb/offline-run-*` for each run folder."
        )
    if there < asked:
        print(f"W&B has {there} of {count(asked, 'run')}: its charts show these.", file=sys.stderr)
    return links
