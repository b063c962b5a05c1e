"""What a report says of diagnostics/*.npz, against numbers computed by hand."""

import json
import math
import re

import numpy as np
import pytest
from fake_sweep import learning_rows, play_samples, simple_sweep, write_metrics, write_sweep, write_trial
from plotly import graph_objects

from lit_seq.cli import main
from lit_seq.report import write_report
from lit_seq.report.charts import charts
from lit_seq.report.document import build
from lit_seq.report.plan import Plan

STEPS = [1, 100, 250, 500]


def look(trial, gradient, short=3.0, long=1.0, steps=STEPS, cell="core.layers.0.0"):
    """Write GradientFlow.npz; `gradient` is ‖∂E/∂h_t‖ at the last moment, ten times what it was before."""
    moments = [np.asarray(gradient) * 10.0 ** (index + 1 - len(steps)) for index in range(len(steps))]
    (trial / "diagnostics").mkdir(exist_ok=True)
    np.savez(
        trial / "diagnostics" / "GradientFlow.npz",
        **{
            "step": np.array(steps),
            f"{cell}/gradient": np.stack(moments),
            f"{cell}/contribution": np.stack(moments)[:, ::-1],
            f"{cell}/short_term": np.full(len(steps), short),
            f"{cell}/long_term": np.full(len(steps), long),
        },
    )


def jacobians(trial, log_norm, exponents, steps=STEPS, cell="core.layers.0.0"):
    (trial / "diagnostics").mkdir(exist_ok=True)
    arrays = {f"{cell}/log_norm": [log_norm] * len(steps), f"{cell}/exponents": [exponents] * len(steps)}
    np.savez(trial / "diagnostics" / "StateJacobians.npz", step=np.array(steps), **arrays)


@pytest.fixture
def sweep(tmp_path):
    """GRU (best) with two seeds, LSTM with one that diverged and one that has no diagnostics."""
    state = lambda cell, seed: ("diverged", "NaN") if (cell, seed) == ("LSTM", 2) else ("finished", None)  # noqa: E731
    folder = simple_sweep(tmp_path / "s", {"GRU": {1: 1.0, 2: 1.1}, "LSTM": {1: 2.0, 2: 2.1}}, state=state)
    trials = sorted((folder / "trials").iterdir())
    look(trials[0], [1e-4, 1e-2, 1.0])
    look(trials[1], [1e-6, 1e-3, 1.0], short=1.0)
    jacobians(trials[0], [-1.0, -2000.0, -4000.0], [-0.2, -0.5])
    jacobians(trials[1], [-3.0, -2000.0, -6000.0], [0.4, -0.7])
    look(trials[2], [0.0, 1e3, math.nan], steps=[1, 7, 500])
    look(trials[3], [1e8, 1e8, 1e8])
    return folder


def built(folder, **plan):
    return build(Plan(runs=[str(folder)], **plan))


def test_lines_are_geometric_means_over_the_trials_that_count(sweep):
    flows = {flow.quantity: flow for flow in built(sweep).flows}
    lines = {(line.label, line.moment): line for line in flows["gradient"].lines}
    end = lines["GRU", "end"]
    assert (end.step, end.trials, end.x) == (500, 2, [1, 2, 3])
    assert end.mean == pytest.approx([-5.0, -2.5, 0.0])
    assert end.low == pytest.approx([-6.0, -3.0, 0.0])
    assert end.high == pytest.approx([-4.0, -2.0, 0.0])
    assert lines["GRU", "middle"].step == 250
    assert lines["GRU", "start"].mean == pytest.approx([-8.0, -5.5, -3.0])
    # Of LSTM only the finished trial counts, which looked at other steps; zero and NaN are gaps.
    assert lines["LSTM", "end"].mean == [None, pytest.approx(3.0), None]
    assert (lines["LSTM", "middle"].step, lines["LSTM", "end"].trials) == (7, 1)
    assert flows["contribution"].lines[0].x == [0, 1, 2]


def test_products_beyond_the_range_of_numbers_are_kept(sweep):
    [flow] = [flow for flow in built(sweep).flows if flow.quantity == "jacobian"]
    assert {line.label for line in flow.lines} == {"GRU"}
    ten = math.log(10)
    assert flow.lines[-1].mean == pytest.approx([-2 / ten, -2000 / ten, -5000 / ten], abs=6e-4)


def test_table_says_ratio_share_and_exponent(sweep):
    splits = [one for one in built(sweep).splits if one.step == 500]
    assert [(one.label, one.trials) for one in splits] == [("GRU", 2), ("LSTM", 1)]
    # log10 of 1e-4 and 1e-6; 1/4 and 1/2; -0.2 and 0.4.
    assert splits[0].ratio == pytest.approx(-5.0)
    assert splits[0].long_term_share == pytest.approx(0.375)
    assert splits[0].exponent == pytest.approx(0.1)
    # The first of LSTM's norms that are numbers is 0: its logarithm is none.
    assert (splits[1].ratio, splits[1].exponent) == (None, None)


def test_trials_that_diverged_are_shown_where_none_counts(sweep):
    status = sweep / "trials" / "0002" / "status.json"
    status.write_text(status.read_text().replace('"finished"', '"diverged"'))
    lines = [line for line in built(sweep).flows[0].lines if line.label == "LSTM"]
    assert [(line.moment, line.step, line.trials) for line in lines] == [("start", 1, 2), ("end", 500, 2)]


def test_damaged_arrays_are_told_and_left_out(sweep):
    (sweep / "trials" / "0001" / "diagnostics" / "GradientFlow.npz").write_bytes(b"PK\x03\x04 cut")
    (sweep / "trials" / "0000" / "diagnostics" / "StateJacobians.npz").write_bytes(b"")
    document = built(sweep)
    assert [note for note in document.notes if "diagnostics" in note] == [
        "Trial 0001: diagnostics/GradientFlow.npz could not be read.",
        "Trial 0000: diagnostics/StateJacobians.npz could not be read.",
    ]
    assert document.flows[0].lines[0].trials == 1


def test_pickles_in_arrays_are_refused(sweep, tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(sweep / "trials" / "0000" / "diagnostics" / "GradientFlow.npz", step=np.array([Attack()]))
    assert any("could not be read" in note for note in built(sweep).notes)
    assert not (tmp_path / "ran").exists()


def test_section_is_in_every_format(sweep):
    page = write_report(sweep).read_text()
    assert '<section id="gradient_flow">' in page
    assert {f'id="gradient_flow-{index}"' in page for index in range(3)} == {True}
    text = write_report(sweep, format="md").read_text()
    assert re.search(r"\| GRU \| 500 \| 2 \| 10\^−5\.00 \| 37\.5% \| 0\.100 \|", text)
    content = json.loads(write_report(sweep, format="json").read_text())
    assert [flow["quantity"] for flow in content["flows"]] == ["gradient", "jacobian", "contribution"]


def test_charts_are_valid_and_share_their_axis(sweep):
    drawn = charts(built(sweep), ["gradient_flow"])
    assert list(drawn) == ["gradient_flow-0", "gradient_flow-1", "gradient_flow-2"]
    for figure in drawn.values():
        graph_objects.Figure(figure.data, figure.layout)
        assert figure.layout["yaxis3"]["matches"] == "y"
        assert {trace["name"] for trace in figure.data if trace.get("showlegend", True)} <= {"GRU", "LSTM"}
    # GRU's band and mean, LSTM's mean, at each of three moments.
    assert len(drawn["gradient_flow-0"].data) == 9


@pytest.mark.slow
def test_two_hundred_trials_with_diagnostics_stay_below_six_megabytes(tmp_path):
    cells, steps = [f"C{index}" for index in range(20)], [1, 250, 500]
    write_sweep(tmp_path / "s", {"model.core.cell": cells, "seed_everything": range(10)})
    noise = np.random.default_rng(0)
    for index in range(200):
        rows = learning_rows(2 + index % 20 / 10, index, every=2)
        for row in rows:
            row |= {"train/gradient_norm": noise.random(), "train/gradient_norm_clipped": noise.random()}
            row |= {"diagnostics/long_term_share": noise.random()}
        overrides = {"model.core.cell": cells[index % 20], "seed_everything": index // 20}
        trial = write_trial(
            tmp_path / "s" / "trials" / f"{index:04d}", overrides, rows, samples=play_samples()
        )
        norms = np.exp(noise.normal(size=1000))
        look(trial, norms, steps=steps)
        jacobians(trial, np.log(norms), norms, steps)
    page = write_report(tmp_path / "s")
    assert 'id="gradient_flow-5"' in page.read_text()
    assert page.stat().st_size < 6e6


def test_section_names_the_callback_to_add(tmp_path, capsys):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0}, "B": {1: 2.0}})
    assert "gradient_flow" not in write_report(sweep, format="md").read_text()
    (tmp_path / "r.yaml").write_text(f"runs: ['{sweep}']\nsections: [gradient_flow]\n")
    assert main(["report", str(tmp_path / "r.yaml"), "--format", "md"]) == 0
    text = (sweep / "report.md").read_text()
    assert "--trainer.callbacks+=GradientFlow" in text
    assert "--trainer.callbacks+=StateJacobians" in text


def test_norms_before_and_after_clipping_are_drawn_where_somebody_asks(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0, 2: 1.1}})
    for trial in (sweep / "trials").iterdir():
        norms = {"train/gradient_norm": 5.0, "train/gradient_norm_clipped": 1.0}
        write_metrics(trial, [{"step": s, "epoch": 0, "val/loss": 1 / s, **norms} for s in (1, 2, 3)])
    assert built(sweep).inside == []
    asked = built(sweep, sections=["gradient_flow"])
    assert [(panel.metric, panel.curves[0].mean[0]) for panel in asked.inside] == [
        ("train/gradient_norm", 5.0),
        ("train/gradient_norm_clipped", 1.0),
    ]
    # Beside what a diagnostic logged they are drawn unasked.
    write_metrics(
        trial, [{"step": 1, "epoch": 0, "val/loss": 1.0, "diagnostics/spectral_radius": 1.2, **norms}]
    )
    assert [panel.metric for panel in built(sweep).inside][-1] == "diagnostics/spectral_radius"
    assert len(built(sweep).inside) == 3
