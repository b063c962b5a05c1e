"""Addresses at W&B."""

from pathlib import Path

import pytest

from lit_seq.errors import UserError
from lit_seq.report.plan import Plan
from lit_seq.report.wandb.address import Address


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
    ["wandb:", "wandb:team", "wandb:team/", "wandb:team/project/cells", "wandb:team/project/reports/x"]
    + ["wandb://team/project", "wandb:team/project/runs/", "wandb:team/project/runs"],
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
        ("wandb:t/p/groups/a/../b", "a-..-b.md"),
    ],
)
def test_a_report_of_wandb_alone_lies_where_it_was_asked_for(source, file):
    assert Plan.of(source).target("md") == Path(file)
