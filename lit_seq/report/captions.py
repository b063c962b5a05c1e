"""What stands under the figures and tables: how each number was made."""

import json
from collections.abc import Sequence
from typing import Any

from lit_seq.report.curves import Panel
from lit_seq.report.document import Document
from lit_seq.report.said import Said
from lit_seq.report.statistics import Difference
from lit_seq.report.style import COLOURS
from lit_seq.report.wording import alike, count, listing, metric_words, number
from lit_seq.samples import Writing

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
    extreme = "lowest" if document.goal == "minimize" else "highest"
    return (
        f"A trial is judged by its best value over training: the {extreme} {metric_words(document.metric)} "
        f"({document.metric}) of all that it logged, which flatters noisy curves; the value at the end of "
        "training stands beside it."
    )


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


def comparison(document: Document) -> str:
    """Say how the table was computed."""
    text = (
        f"{judged_by(document)} Mean: over the trials that finished, one a seed. Interval: 95 % Student's t "
        "interval of that mean (exact if seeds scatter normally; none for one seed; very wide for two). "
        "Difference: from the configuration with the best mean, over the seeds that both have, with the 95 % "
        "t interval of the paired differences (Welch's interval where fewer than two seeds are common). "
        "Intervals are not corrected for the number of comparisons, and the best was picked after looking."
    )
    if (pack := max((row.pack for row in document.rows), default=1)) > 1:
        text += f" Trials were trained in packs of up to {pack}: time and speed are a trial's share of them."
    if any(row.tried > 1 for row in document.rows):
        text += (
            " Each line is shown at the best of its other settings, chosen by the same numbers, which "
            "flatters lines that tried more."
        )
    return text


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
            f"Thick lines: mean over the finished trials ({span} a configuration, the same ones at every "
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
    if panel.bin > 1:
        sentences.append(f"Up to {panel.bin} neighbouring values are averaged into one point.")
    return " ".join(sentences)
