import pytest
import yaml

from lit_seq.errors import UserError
from lit_seq.report.plan import Plan


def written(tmp_path, content):
    file = tmp_path / "report.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_folder_is_reported_on_as_it_is(tmp_path):
    folder = tmp_path / "runs[1]*"
    folder.mkdir()
    plan = Plan.of(folder)
    assert plan.folders() == [folder]
    assert (plan.metric, plan.compare_by, plan.sections) == (None, None, None)


def test_report_file(tmp_path, monkeypatch):
    for name in ("a1", "a2", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "a3").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    content = {"title": "T", "question": "Q?", "runs": ["runs/a*", "runs/b", "runs/a1"], "metric": "val/loss"}
    plan = Plan.of(
        written(tmp_path, content | {"goal": "maximize", "compare_by": ["x"], "sections": ["table"]})
    )
    assert [str(folder) for folder in plan.folders()] == ["runs/a1", "runs/a2", "runs/b"]
    assert (plan.title, plan.question, plan.metric, plan.goal) == ("T", "Q?", "val/loss", "maximize")
    assert (plan.compare_by, plan.sections) == (["x"], ["table"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"runs": ["r"], "metrc": "x"},
            r"unknown key 'metrc'; allowed: runs, title, question, metric, goal, judge_by",
        ),
        ({"runs": ["r"], "goal": "least"}, "goal is 'least'; allowed: minimize, maximize"),
        (
            {"runs": ["r"], "sections": ["tables"]},
            "unknown section 'tables'; allowed: answer, published, curves",
        ),
        ({"runs": "r"}, "runs must be a list of texts"),
        ({"runs": []}, "runs is empty"),
        ({"title": "x"}, "runs must be a list"),
        ({"runs": ["r"], "metric": 3}, "metric must be a text"),
        ({"runs": ["r"], "compare_by": [1]}, "compare_by must be a list of texts"),
        (["runs"], "must be a mapping"),
        ("", "must be a mapping"),
        ("a: [", "is not a report file"),
    ],
)
def test_mistakes_are_told_in_one_sentence(tmp_path, content, said):
    with pytest.raises(UserError, match=said) as error:
        Plan.of(written(tmp_path, content))
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        Plan.of(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"gone/\*.*has its sweep been run"):
        Plan.of(written(tmp_path, {"runs": ["gone/*"]})).folders()


def test_binary_file_is_not_a_report_file(tmp_path):
    file = tmp_path / "report.yaml"
    file.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="is not a report file"):
        Plan.of(file)
