"""What stands under the figures and tables: how each number was made."""

import json
from collections.abc import Sequence
from typing import Any

from lit_seq.report.configurations import show
from lit_seq.report.curves import Panel
from lit_seq.report.document import Document
from lit_seq.report.said import Said
from lit_seq.report.statistics import FEWEST, RESAMPLES, Difference
from lit_seq.report.style import COLOURS
from lit_seq.report.wording import alike, count, listing, metric_words, number, without_capital
from lit_seq.samples import Writing

MOST_INTERVALS = 24
"""Configurations that a chart of intervals has room for."""
NOT_FINISHED = ("running", "queued", "stopped", "diverged", "failed")


def progress(document: Document) -> str:
    """Say how many trials finished, and what became of the others."""
    there = sum(document.states.values())
    finished = document.states.get("finished", 0)
    asked = there + document.missing
    if finished == asked:
        few = {1: "The trial finished.", 2: "Both trials finished."}
        return few.get(asked, f"All {asked} trials finished.")
    others = [f"{document.states[state]} {state}" for state in NOT_FINISHED if state in document.states]
    others += [f"{document.missing} not started"] if document.missing else []
    return f"{finished} of {count(asked, 'trial')} finished; {listing(others)}."


def is_preliminary(document: Document) -> bool:
    """Whether more results are to come."""
    return bool(document.missing or document.states.keys() & {"running", "queued"})


def judged_by(document: Document) -> str:
    """Say which value of the metric counts."""
    judge = document.judge
    if judge.by == "updates":
        return (
            f"A trial is judged by its optimiser steps until {without_capital(judge.aim)} ({judge.metric}), "
            "no finer than it logs; one that never comes there, or diverges before, counts as "
            f"{judge.horizon or 0:,}."
        )
    if judge.by == "last":
        return (
            f"A trial is judged by its value at the end of training: the last {metric_words(judge.metric)} "
            f"({judge.metric}) that is a number."
        )
    extreme = "lowest" if judge.goal == "minimize" else "highest"
    return (
        f"A trial is judged by its best value over training: the {extreme} {metric_words(judge.metric)} "
        f"({judge.metric}) of all that it logged, which flatters noisy curves; the value at the end of "
        "training stands beside it."
    )


def judged_shortly(document: Document) -> str:
    """Name which value of the metric counts."""
    told = {"best": "best over training", "last": "at the end of training"}
    return told.get(document.judge.by, f"updates until {without_capital(document.judge.aim)}")


def held_fixed(document: Document) -> str:
    """Say what was held fixed, and how many trials that leaves out."""
    fixed = [f"{key} {show(value)}" for key, value in document.fixed.items()]
    return f"{listing(fixed)}; {count(document.left_out, 'other trial')} left out"


def signed(gap: Difference) -> str:
    """Write a difference with its sign."""
    text = number(gap.mean, 3) if gap.interval is None else alike([gap.mean], gap.interval.high - gap.mean)[0]
    return f"+{text}" if gap.mean > 0 else text


def edges(gap: Difference) -> list[str]:
    """Write the edges of a difference's interval."""
    return [] if gap.interval is None else alike(gap.interval, gap.interval.high - gap.mean)


def said(shown: Sequence[Said]) -> str:
    """Say whose samples they are, and how texts were drawn."""
    trials = ", ".join(f"{one.label}: {one.trial}" for one in shown)
    text = f"By the best trial of each configuration ({trials}), on the same held-out data each time."
    writings = [s for one in shown for m in one.moments for s in m.samples if isinstance(s, Writing)]
    if writings:
        prime = json.dumps(writings[0].prime, ensure_ascii=False)
        text += f" Texts are drawn at temperature {writings[0].temperature}, prime {prime}."
    return text


def intervals(document: Document, task: str | None) -> str:
    """Say what the chart of intervals shows."""
    mean = "mean" if document.statistic == "mean" else "interquartile mean"
    over = ", best over training" if document.judge.by == "best" else ""
    text = (
        f"{document.judge.title}{over}. Large mark: {mean}; bar: its 95 % interval; strokes below: single "
        "trials."
    )
    if sum(row.task == task and row.mean is not None for row in document.rows) > MOST_INTERVALS:
        text += f" The best {MOST_INTERVALS} configurations."
    return text


def comparison(document: Document) -> str:
    """Say how the table was computed."""
    mean = document.statistic == "mean"
    what = "Mean" if mean else "Interquartile mean, of the middle half of the trials"
    counted = "finished" if document.judge.by != "updates" else "finished or diverged"
    text = (
        f"{judged_by(document)} {what}: over the trials that {counted}, one a seed. {_intervals(document)} "
    )
    if mean:
        text += (
            "Difference: from the configuration with the best mean, over the seeds that both have, with "
            "the 95 % t interval of the paired differences (Welch's interval where fewer than two seeds "
            "are common). "
        )
    else:
        text += (
            "Difference: from the best, by 95 % percentile bootstrap over the seeds that both have (of "
            f"each side by itself where fewer than two are common); none for fewer than {FEWEST}. "
        )
    text += (
        "Intervals are not corrected for the number of comparisons, and the best was picked after looking."
    )
    if len(document.tasks) > 1:
        text += " Values of different tasks cannot be compared: each task is ranked by itself."
    if (pack := max((row.pack for row in document.rows), default=1)) > 1:
        text += f" Trials were trained in packs of up to {pack}: time and speed are a trial's share of them."
    if any(row.tried > 1 for row in document.rows):
        text += (
            " Each line is shown at the best of its other settings, chosen by the same numbers, which "
            "flatters lines that tried more."
        )
    return text


def _intervals(document: Document) -> str:
    methods = {row.method for row in document.rows}
    told = []
    if "bootstrap" in methods:
        told.append(
            f"95 % percentile bootstrap over seeds ({RESAMPLES:,} resamples; with {FEWEST} seeds such an "
            "interval covers the true mean of normal scatter in 84 % of cases, with 10 in 90 %, with 20 in "
            "93 %)"
        )
    if "t" in methods:
        few = f" of fewer than {FEWEST} seeds" if "bootstrap" in methods else ""
        told.append(f"95 % Student's t interval{few} (exact if seeds scatter normally; very wide for two)")
    none = "none for one seed" if document.statistic == "mean" else f"none for fewer than {FEWEST} seeds"
    return f"Interval: {'; '.join([*told, none])}."


def environment(recorded: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the lines of environment.json, each with its texts."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [f"{name} {one}" for name, one in value.items() if one is not None]
        if isinstance(value, list):
            # Only what went on later is a list of mappings: when, and by which command.
            return [
                f"{one.get('date')}: {one.get('command')}" if isinstance(one, dict) else str(one)
                for one in value
            ]
        return ["unknown" if value is None else str(value)]

    return [(key, texts(value)) for key, value in recorded.items()]


def curves(panel: Panel) -> str:
    """Say what lines and bands are, and where curves had to be cut or interpolated."""
    several = [curve for curve in panel.curves if curve.n > 1]
    mean = "mean" if panel.statistic == "mean" else "interquartile mean"
    sentences = []
    if several:
        sizes = sorted({curve.n for curve in several})
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        band = (
            "the range from the lowest to the highest of them"
            if panel.band == "range"
            else "the 95 % t interval of the mean, step by step"
        )
        sentences.append(
            f"Thick lines: {mean} over the finished trials ({span} a configuration, the same ones at every "
            f"step). Bands: {band}."
        )
        if len(panel.curves) <= len(COLOURS):
            sentences.append("Thin lines: single trials.")
    else:
        sentences.append("Each line is one trial, so there is no band.")
    if any(line.state != "finished" for curve in panel.curves for line in curve.lines):
        sentences.append("Trials that did not finish are in no mean; a mark shows where they ended.")
    if cut := [curve for curve in panel.curves if curve.cut is not None]:
        places = [f"{curve.label} at step {curve.cut:,}" for curve in cut[:4]]
        more = ["others"] if len(cut) > 4 else []
        sentences.append(f"Means end where the first of their trials ends: {listing(places + more)}.")
    if moved := [curve.label for curve in panel.curves if curve.interpolated]:
        names = moved[:4] + (["others"] if len(moved) > 4 else [])
        sentences.append(
            f"Trials logged at different steps and were interpolated linearly: {listing(names)}."
        )
    if any(curve.pace for curve in panel.curves):
        sentences.append(
            "Seconds and tokens are in proportion to steps: a trial's share of its pack's training time, and "
            "its batch times its length."
        )
    if panel.bin > 1:
        sentences.append(f"Up to {panel.bin} neighbouring values are averaged into one point.")
    return " ".join(sentences)
