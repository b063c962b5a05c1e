import pytest
import yaml
from fake_sweep import simple_sweep

from lit_seq.errors import UserError
from lit_seq.report import write_report
from lit_seq.report.document import build
from lit_seq.report.plan import Ordering, Plan

VALUES = {
    "A": {s: 1 + s / 100 for s in range(5)},
    "B": {s: 2 + s / 70 for s in range(5)},
    "C": {s: 1 + (-1) ** s * s / 10 for s in range(5)},
}


def outcome(tmp_path, better, worse):
    plan = Plan(
        runs=[str(simple_sweep(tmp_path / "s", VALUES))], orderings=[Ordering(better, worse, "a paper")]
    )
    [one] = build(plan).outcomes
    return one.outcome


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [("A", "B", "came out"), ("B", "A", "came out the other way"), ("A", "C", "cannot be told")],
)
def test_ordering_is_judged_by_the_interval_of_the_difference(tmp_path, better, worse, expected):
    assert outcome(tmp_path, better, worse) == expected


def test_ordering_of_a_configuration_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no configuration 'D'; the table has"):
        outcome(tmp_path, "A", "D")


def test_published_figures_stand_in_the_report_with_their_source(tmp_path):
    sweep = simple_sweep(tmp_path / "s", VALUES)
    content = {
        "runs": [str(sweep)],
        "published": [
            {"what": "loss of A", "value": 1.25, "source": "Somebody 1997, table 2", "sure": "memory"}
        ],
        "orderings": [{"better": "A", "worse": "B", "source": "Somebody 1997"}],
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    text = write_report(tmp_path / "r.yaml", format="md").read_text()
    assert "| loss of A | 1.25 | Somebody 1997, table 2 | quoted from memory |" in text
    assert "| A better than B | Somebody 1997 | came out |" in text
