"""Sections about settings: heat map, parallel coordinates, importance, what is held fixed."""

import math

import numpy as np
import pytest
from fake_sweep import write_sweep, write_trial
from plotly import graph_objects

from lit_seq.errors import UserError
from lit_seq.report.document import build
from lit_seq.report.figures import heat_map, importance, parallel_coordinates
from lit_seq.report.plan import Plan

RATES, CLIPS = (0.001, 0.01, 0.1), (None, 1, 10)


def loss(clip, rate, seed):
    return 1 + abs(math.log10(rate) + 2) + (0.1 if clip is None else 0.01 * clip) + seed / 1000


def sweep(folder, fate=lambda clip, rate, seed: "finished", seeds=2, extra=("x",)):
    write_sweep(
        folder,
        {"clip": CLIPS, "optimizer.lr": RATES, "seed_everything": range(seeds)},
        ("val/loss", "minimize"),
    )
    number = 0
    for clip in CLIPS:
        for rate in RATES:
            for other in extra:
                for seed in range(seeds):
                    overrides = {"clip": clip, "optimizer.lr": rate, "seed_everything": seed}
                    overrides |= {"other": other} if len(extra) > 1 else {}
                    bonus = 0.5 * extra.index(other)
                    rows = [{"step": 1, "epoch": 0, "val/loss": loss(clip, rate, seed) + bonus}]
                    state = fate(clip, rate, seed)
                    write_trial(folder / "trials" / f"{number:04d}", overrides, rows, state=state)
                    number += 1
    return folder


def report(folder, **keys):
    return build(Plan(runs=[str(folder)], **keys))


def test_heat_map_holds_the_mean_of_each_pair_of_values(tmp_path):
    [grid] = report(sweep(tmp_path / "s")).heat_maps
    assert (grid.x, grid.y, grid.columns, grid.rows) == ("clip", "optimizer.lr", [1, 10, None], list(RATES))
    for rate, line in zip(grid.rows, grid.squares, strict=True):
        for clip, square in zip(grid.columns, line, strict=True):
            assert square.value == pytest.approx(np.mean([loss(clip, rate, seed) for seed in (0, 1)]))
            assert (square.counted, square.trials) == (2, 2)


def test_square_whose_trials_all_diverged_says_so_and_is_not_filled(tmp_path):
    diverged = lambda clip, rate, seed: "diverged" if clip is None and rate == 0.1 else "finished"  # noqa: E731
    [grid] = report(sweep(tmp_path / "s", diverged)).heat_maps
    square = grid.squares[2][2]
    assert (square.value, square.states) == (None, {"diverged": 2})
    figure = heat_map(grid, "minimize")
    graph_objects.Figure(figure.data, figure.layout)
    assert figure.data[0]["z"][2][2] is None
    texts = {(one["x"], one["y"]): one["text"] for one in figure.layout["annotations"]}
    assert texts[2, 2] == "2 diverged"
    # The best, clip 1 at rate .01, is bold and has the brightest colour.
    assert texts[0, 1].startswith("<b>1.01")
    assert figure.data[0]["z"][1][0] == figure.data[0]["zmax"]


def test_square_is_at_the_best_of_the_other_settings(tmp_path):
    [grid] = report(sweep(tmp_path / "s", extra=("x", "y"))).heat_maps
    assert {(s.tried, s.counted) for line in grid.squares for s in line} == {(2, 2)}
    assert grid.squares[0][0].value == pytest.approx(loss(1, 0.001, 0.5))


def test_keys_of_the_heat_map_can_be_chosen(tmp_path):
    [grid] = report(sweep(tmp_path / "s", extra=("x", "y")), heat_map=["other", "optimizer.lr"]).heat_maps
    assert (grid.x, grid.y) == ("optimizer.lr", "other")


def test_key_of_the_heat_map_that_does_not_vary_is_told(tmp_path):
    with pytest.raises(
        UserError, match=r"heat_map: 'size' does not vary; what varies is clip and optimizer\.lr"
    ):
        report(sweep(tmp_path / "s"), heat_map=["size", "clip"])


def test_axis_that_is_not_known_is_told(tmp_path):
    document = report(sweep(tmp_path / "s"), x="tokens")
    assert document.notes[-1].startswith("x: tokens is not known of 18 curves")


def test_random_search_has_no_heat_map_but_coordinates(tmp_path):
    write_sweep(tmp_path / "s", {}, method="random")
    generator = np.random.default_rng(0)
    for number in range(40):
        rate, width = 10 ** generator.uniform(-4, -1), int(generator.integers(8, 256))
        rows = [{"step": 1, "epoch": 0, "val/bits_per_character": rate + width}]
        write_trial(tmp_path / "s" / "trials" / f"{number}", {"lr": rate, "width": width}, rows)
    document = report(tmp_path / "s")
    assert document.heat_maps == []
    [traced] = document.coordinates
    figure = parallel_coordinates(traced, "Loss", "minimize")
    graph_objects.Figure(figure.data, figure.layout)
    lines = [len([x for x in trace["x"] if x is None]) for trace in figure.data]
    assert (sum(lines), len(lines)) == (40, 8)
    # The best trials are drawn last, thickest: they have the lowest places on the last axis.
    assert max(y for y in figure.data[-1]["y"][2::4]) < min(y for y in figure.data[0]["y"][2::4])


def test_coordinates_show_what_diverged_as_dotted_and_without_a_score(tmp_path):
    document = report(
        sweep(tmp_path / "s", lambda clip, rate, seed: "diverged" if rate == 0.1 else "finished")
    )
    [traced] = document.coordinates
    figure = parallel_coordinates(traced, "Loss", "minimize")
    dotted = figure.data[0]
    assert dotted["line"]["dash"] == "dot"
    assert max(x for x in dotted["x"] if x is not None) == 1
    assert dotted["x"].count(None) == 6


def test_importance_finds_the_setting_that_decides(tmp_path):
    [found] = report(sweep(tmp_path / "s")).importance
    assert (found.trials, found.survivors, found.incomplete) == (18, 0, 0)
    assert list(found.shares) == ["optimizer.lr", "clip"]
    # The scores are a sum: without interactions the shares are those of the two terms' variances.
    terms = [np.var([abs(math.log10(rate) + 2) for rate in RATES]), np.var([0.1, 0.01, 0.1])]
    assert found.shares["optimizer.lr"] > 0.9
    assert terms[0] / sum(terms) > 0.9
    assert 0.9 < sum(found.shares.values()) <= 1.0 + 1e-9
    figure = importance(found)
    graph_objects.Figure(figure.data, figure.layout)


def test_survivors_of_early_stopping_are_left_out_of_importance(tmp_path):
    stopped = lambda clip, rate, seed: "stopped" if rate == 0.1 else "finished"  # noqa: E731
    [found] = report(sweep(tmp_path / "s", stopped, seeds=4)).importance
    assert (found.complete, found.survivors, found.incomplete, found.shares) == (0, 24, 12, {})


def test_few_trials_have_no_importance(tmp_path):
    [found] = report(sweep(tmp_path / "s", seeds=1)).importance
    assert (found.complete, found.shares) == (9, {})


def test_setting_held_fixed_leaves_the_others_out_and_says_so(tmp_path):
    folder = sweep(tmp_path / "s")
    document = report(folder, fix={"optimizer.lr": 0.01})
    assert [row.label for row in document.rows] == ["clip 1", "clip none", "clip 10"] or len(
        document.rows
    ) == 3
    assert (document.left_out, sum(document.states.values())) == (12, 6)
    assert len(report(folder, fix={"optimizer.lr": [0.01, 0.1], "clip": None}).trials) == 4


def test_what_cannot_be_held_fixed_is_told(tmp_path):
    folder = sweep(tmp_path / "s")
    with pytest.raises(UserError, match="fix: no trial sets 'size'"):
        report(folder, fix={"size": 3})
    with pytest.raises(UserError, match=r"no trial has clip 7; there are 1, 10 and none"):
        report(folder, fix={"clip": 7})


def test_best_at_the_end_of_what_was_tried_is_told(tmp_path):
    folder = sweep(tmp_path / "s")
    inner = report(folder, compare_by=["clip"])
    assert [row.at_edge for row in inner.rows] == [[], [], []]
    for number in range(18):
        path = folder / "trials" / f"{number:04d}" / "metrics.csv"
        rate = RATES[number // 2 % 3]
        path.write_text(f"step,epoch,val/loss\n1,0,{1 - rate}\n")
    outer = report(folder, compare_by=["clip"])
    assert {edge for row in outer.rows for edge in row.at_edge} == {"lr 0.1 is the highest of 3"}
    assert "may lie beyond what was tried: of clip none, lr 0.1 is the highest of 3;" in outer.answer
