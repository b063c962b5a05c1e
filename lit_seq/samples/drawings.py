"""Small SVG drawings of samples, which need neither a style sheet nor a script.

Colours are those of Okabe and Ito (2008); what a colour says, a mark or a dash says as well.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from lit_seq.samples.kinds import Alignment, Map, Matrix, Series, TreeLabels

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
_SHAPES = 3

Point = tuple[float, float]


def series(sample: Series) -> str:
    """Draw each feature in a panel: what was known, what came, what the model says, and its band."""
    return "".join(_panel(sample, feature) for feature in range(len(sample.features)))


def cloud(sample: Map) -> str:
    """Draw points, a colour and a shape a group."""
    size, margin = 340.0, 10.0
    x, y = _Scale([p[0] for p in sample.points]), _Scale([p[1] for p in sample.points])
    groups = sorted(set(sample.groups), key=_natural)
    marks = []
    for point, group in zip(sample.points, sample.groups, strict=True):
        at = (margin + x(point[0]) * (size - 2 * margin), size - margin - y(point[1]) * (size - 2 * margin))
        marks.append(_mark(at, groups.index(group)))
    for place, group in enumerate(groups):
        at = (size + 12.0, 14.0 + 18 * place)
        marks += [_mark(at, place), _text((at[0] + 10, at[1] + 4), group)]
    return _svg(size + 120, max(size, 20.0 + 18 * len(groups)), marks, shrinks=True)


def matrix(sample: Matrix) -> str:
    """Draw a table of numbers as squares, the darker the larger."""
    return _squares(sample.rows, sample.columns, sample.values)


def alignment(sample: Alignment) -> str:
    """Draw where a model looked: a row for each word it wrote, or a picture for each where it saw one."""
    if sample.grid is None:
        return _squares(sample.rows, sample.columns, sample.weights)
    high, wide = sample.grid
    side, pictures = 72.0 / max(high, wide), []
    for place, (word, weights) in enumerate(zip(sample.rows, sample.weights, strict=True)):
        left, most = 84.0 * place, max(weights) or 1.0
        pictures.append(_text((left, 12), word))
        for index, weight in enumerate(weights):
            at = (left + side * (index % wide), 18 + side * (index // wide))
            pictures.append(_square(at, side, weight / most))
    return _svg(84 * len(sample.rows), 18 + side * high, pictures)


def tree(sample: TreeLabels) -> str:
    """Draw a tree, the root on top; a label that is wrong is crossed, with the right one behind it."""
    places, depth = _laid_out(sample.parents)
    step = 14.0 + 7 * max((len(token) for token in sample.tokens), default=1)
    height = 52.0
    xs = [20 + place * max(40.0, step) for place in places]
    ys = [18 + height * level for level in depth]
    drawn = []
    for node, parent in enumerate(sample.parents):
        if parent >= 0:
            drawn.append(_line([(xs[parent], ys[parent] + 18), (xs[node], ys[node] - 12)], GREY, 1))
    for node, token in enumerate(sample.tokens):
        wanted, said = sample.target[node], sample.output[node]
        right = wanted is None or wanted == said
        words = said if right else f"✗ {said} ({wanted})"
        colour = "currentColor" if wanted is None else GREEN if right else ORANGE
        drawn.append(_text((xs[node], ys[node]), words, anchor="middle", colour=colour))
        drawn.append(_text((xs[node], ys[node] + 14), token, anchor="middle"))
    return _svg(max(xs) + 60, max(ys) + 24, drawn)


def _panel(sample: Series, feature: int) -> str:
    width, height, left, top, bottom = 460.0, 150.0, 52.0, 18.0, 18.0
    known = [row[feature] for row in sample.past]
    came, said = ([row[feature] for row in rows] for rows in (sample.target, sample.output))
    edges = [[row[feature] for row in rows] for rows in (sample.low, sample.high) if rows is not None]
    value = _Scale([*known, *came, *said, *(v for edge in edges for v in edge)])
    steps = max(1, len(known) + max(len(came), len(said)) - 1)

    def line(values: Sequence[float], first: int) -> list[Point]:
        return [
            (
                left + (first + step) / steps * (width - left - 8),
                height - bottom - value(one) * (height - top - bottom),
            )
            for step, one in enumerate(values)
            if math.isfinite(one)
        ]

    first = len(known)
    drawn = []
    if len(edges) == 2:
        outline = line(edges[1], first) + line(edges[0], first)[::-1]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
        drawn.append(f'<polygon points="{points}" fill="{BLUE}" fill-opacity=".18"/>')
    drawn += [
        _line(line(known, 0), GREY, 1.5),
        _line(line(came, first), "currentColor", 1.5, "5 3"),
        _line(line(said, first), BLUE, 2),
        _text((left, 12), sample.features[feature]),
    ]
    for share in (0.0, 1.0):
        at = (left - 6, height - bottom - share * (height - top - bottom) + 4)
        drawn.append(_text(at, f"{value.at(share):.4g}", anchor="end"))
    return _svg(width, height, drawn, shrinks=True)


def _squares(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    side = 22.0
    left = 12.0 + 7 * max((len(row) for row in rows), default=0)
    top = 14.0 + 6 * max((len(column) for column in columns), default=0)
    most = max((abs(v) for row in values for v in row if math.isfinite(v)), default=0.0) or 1.0
    drawn = []
    for place, column in enumerate(columns):
        at = (left + side * (place + 0.65), top - 5)
        drawn.append(_text(at, column, turned=True))
    for line, row in enumerate(rows):
        drawn.append(_text((left - 6, top + side * (line + 0.7)), row, anchor="end"))
        for place, one in enumerate(values[line]):
            drawn.append(_square((left + side * place, top + side * line), side, one / most, f"{one:.3g}"))
    wide = max((len(row) for row in values), default=0)
    return _svg(left + side * wide + 40, top + side * len(rows) + 4, drawn)


class _Scale:
    """Maps values to 0 … 1."""

    def __init__(self, values: Iterable[float]) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        self.low, self.high = min(finite), max(finite)

    def __call__(self, value: float) -> float:
        return 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)

    def at(self, share: float) -> float:
        return self.low + share * (self.high - self.low)


def _laid_out(parents: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return each node's place from the left and its depth: leaves side by side, parents over the middle."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    places, depth = [0.0] * len(parents), [0] * len(parents)
    order, stack = [], [node for node, parent in enumerate(parents) if parent < 0]
    while stack:
        node = stack.pop()
        order.append(node)
        for child in children[node]:
            depth[child] = depth[node] + 1
            stack.append(child)
    leaves = sorted(node for node in order if not children[node])
    for place, leaf in enumerate(leaves):
        places[leaf] = float(place)
    for node in reversed(order):
        if children[node]:
            places[node] = sum(places[child] for child in children[node]) / len(children[node])
    return places, depth


def _natural(text: str) -> tuple[int, float, str]:
    return (0, float(text), text) if text.lstrip("-").isdigit() else (1, 0.0, text)


def _mark(at: Point, group: int) -> str:
    x, y = at
    colour, r = COLOURS[group % len(COLOURS)], 3.2
    match group // len(COLOURS) % _SHAPES:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}" fill-opacity=".75"/>'
        case 1:
            return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" fill="{colour}"/>'
        case _:
            points = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y + r:.1f} {x - r:.1f},{y + r:.1f}"
            return f'<polygon points="{points}" fill="{colour}"/>'


def _square(at: Point, side: float, share: float, title: str = "") -> str:
    """Draw a share of -1 … 1: blue above 0, orange below."""
    if not math.isfinite(share):
        return ""
    colour, shade = (BLUE if share >= 0 else ORANGE), min(1.0, abs(share))
    told = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{side:.1f}" height="{side:.1f}" fill="{colour}"'
        f' fill-opacity="{shade:.2f}" stroke="{GREY}" stroke-opacity=".3" stroke-width=".5">{told}</rect>'
    )


def _line(points: Sequence[Point], colour: str, width: float, dashes: str = "") -> str:
    if not points:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'


def _text(
    at: Point, words: str, anchor: str = "start", colour: str = "currentColor", turned: bool = False
) -> str:
    turn = f' transform="rotate(-60 {at[0]:.1f} {at[1]:.1f})"' if turned else ""
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="11" text-anchor="{anchor}" fill="{colour}"{turn}>'
        f"{escape(words)}</text>"
    )


def _svg(width: float, height: float, parts: Iterable[str], shrinks: bool = False) -> str:
    """Return a drawing; one that `shrinks` is legible when it is small, others are scrolled."""
    style = ' style="max-width:100%;height:auto"' if shrinks else ""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg role="img" {size}{style}>{"".join(parts)}</svg>'
