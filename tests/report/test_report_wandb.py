"""Addresses at W&B, and what a W&B report is made of."""

import itertools
import json
from pathlib import Path

import pytest
from fake_sweep import learning_rows, simple_sweep, write_sweep, write_trial

from lit_seq.errors import UserError
from lit_seq.report.document import compose
from lit_seq.report.material import gather
from lit_seq.report.plan import Plan
from lit_seq.report.wandb.address import Address
from lit_seq.report.wandb.view import Place, view

CELLS = {"Elman": 2.3, "GRU": 2.0}
RATES = (0.01, 0.1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("wandb:team/lit-seq", ("team", "lit-seq", None, None)),
        ("wandb:team/lit-seq/runs/ab12cd34", ("team", "lit-seq", "runs", "ab12cd34")),
        ("wandb:team/lit-seq/sweeps/k3j2", ("team", "lit-seq", "sweeps", "k3j2")),
        ("wandb:team/lit-seq/groups/cells/again", ("team", "lit-seq", "groups", "cells/again")),
        ("wandb:team/my%20project/groups/a%26b", ("team", "my project", "groups", "a&b")),
    ],
)
def test_addresses_are_those_of_the_pages(text, parts):
    address = Address.of(text)
    assert (address.entity, address.project, address.kind, address.name) == parts
    assert Address.of(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("wandb:", "wandb:team", "wandb:team/", "wandb:team/project/cells", "wandb:team/project/reports/x"),
        *("wandb://team/project", "wandb:team/project/runs/", "wandb:team/project/runs"),
    ],
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(UserError, match="write wandb:ENTITY/PROJECT, and behind it /runs/ID"):
        Plan(runs=[text]).addresses()


def test_runs_name_folders_and_addresses(tmp_path):
    plan = Plan(runs=["wandb:team/p/groups/a b", str(tmp_path), "wandb:team/p/groups/a b"])
    assert plan.folders() == [tmp_path]
    assert plan.addresses() == [Address("team", "p", "groups", "a b")]
    assert plan.target("html") == tmp_path / "report.html"


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("wandb:team/p", "p.md"),
        ("wandb:team/p/sweeps/k3j2", "k3j2.md"),
        ("wandb:t/p/groups/a/b c", "a-b-c.md"),
    ],
)
def test_a_report_of_wandb_alone_lies_where_it_was_asked_for(source, file):
    assert Plan.of(source).target("md") == Path(file)


@pytest.fixture
def no_login(monkeypatch):
    def ask(*args: object) -> None:
        raise AssertionError("W&B was asked")

    monkeypatch.setattr("wandb_workspaces.reports.v2.interface._get_api", ask)


def built(folder: Path, **plan: object) -> dict:
    """Build and serialise the W&B report without a login, which a named entity would ask for."""
    plan = Plan(runs=[str(folder)], **plan)
    material = gather(plan)
    report = view(compose(material, plan), {Place("", "plays"): material.runs}, {"Group": "https://w/g"})
    return json.loads(report._to_model().model_dump_json(by_alias=True, exclude_none=True))


def panels(block: dict) -> list[dict]:
    return block["metadata"]["panelBankSectionConfig"]["panels"]


def test_the_wandb_report_says_what_the_others_say_and_draws_the_runs(tmp_path, no_login):
    folder = write_sweep(tmp_path / "rates", {"model.core.cell": CELLS, "optimizer.lr": RATES})
    for number, (cell, rate, seed) in enumerate(itertools.product(CELLS, RATES, range(1, 6))):
        core = {"class_path": "Stack", "init_args": {"cell": {"class_path": f"lit_seq.cells.{cell}"}}}
        write_trial(
            folder / "trials" / f"{number:04d}",
            {"model.core.cell": cell, "optimizer.lr": rate, "seed_everything": seed},
            learning_rows(CELLS[cell] + rate, number),
            config={
                "model": {"class_path": "LanguageModel", "init_args": {"core": core}},
                "optimizer": {"class_path": "Adam", "init_args": {"lr": rate}},
                "seed_everything": seed,
            },
        )
    question = "Which <b>cell</b>?"
    saved = built(folder, title="x" * 200, question=question, compare_by=["model.core.cell"])

    assert (saved["displayName"], saved["description"]) == ("x" * 128, question)
    blocks = saved["spec"]["blocks"]
    texts = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    headings = [text.splitlines()[0] for text in texts]
    assert headings[0] == "## Learning curves"
    assert {"## Comparison", "## Two by two", "## Cost", "## How to reproduce", "## Pages"} <= set(headings)
    assert any("| GRU (best of 2: lr 0.01) |" in text for text in texts)
    (callout,) = [block for block in blocks if block["type"] == "callout-block"]
    assert "GRU (at lr 0.01, best of 2) is" in json.dumps(callout)
    assert " below Elman" in json.dumps(callout)
    curves, coordinates, importance = [block for block in blocks if block["type"] == "panel-grid"]
    (runs,) = curves["metadata"]["runSets"]
    (chosen,) = runs["filters"]["filters"]
    assert (chosen["key"]["name"], chosen["op"]) == ("name", "IN")
    assert chosen["value"] == [f"run{number:04d}" for number in range(20)]
    cell = "model.value.init_args.core.init_args.cell.class_path"
    assert [key["name"] for key in runs["grouping"]] == [cell]
    assert [panel["config"]["metrics"] for panel in panels(curves)] == [
        ["val/bits_per_character"],
        ["train/loss"],
    ]
    (axes,) = [panel["config"]["columns"] for panel in panels(coordinates)]
    assert [axis["accessor"] for axis in axes] == [
        f"config:{cell}",
        "config:optimizer.value.init_args.lr",
        "summary:val/bits_per_character",
    ]
    assert coordinates["metadata"]["runSets"][0]["grouping"] == []
    assert panels(importance)[0]["config"]["targetKey"] == "val/bits_per_character"


def test_text_of_data_is_no_markup_in_the_wandb_report(tmp_path, no_login):
    folder = simple_sweep(
        tmp_path / "odd", {"[x](javascript:1)|<script>": {1: 0.5, 2: 0.6}, "b": {1: 1.0, 2: 1.1}}
    )
    texts = "".join(block.get("content", "") for block in built(folder)["spec"]["blocks"])
    assert "<script>" not in texts
    assert "[x](" not in texts
    assert "\\[x\\](javascript:1)\\|&lt;script&gt;" in texts
