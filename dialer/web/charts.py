"""Charts as SVG, made on the server (pure): bars and lines over days or hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 520, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 8, 10, 24
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values over the labels; None where there is none. ``kind`` is a class of the common look."""

    name: str
    values: Sequence[float | None]
    kind: str = ""


def bars(labels: Sequence[str], series: Sequence[Series], told: Callable[[float], str]) -> Markup:
    """Bars beside each other for each label. ``told`` writes a value for people."""
    top = _top(_values(series))
    parts = [_frame(labels, top, told)]
    slot = _inner_width() / max(len(labels), 1)
    width = max(1.0, slot * 0.76 / len(series))
    for number, one in enumerate(series):
        for place, value in enumerate(one.values):
            if value:
                height = float(value) / top * _inner_height()
                x = _LEFT + slot * (place + 0.12) + width * number
                parts.append(
                    Markup(
                        '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}" rx="1">'
                        "<title>{}, {}: {}</title></rect>"
                    ).format(
                        one.kind, _n(x), _n(_HEIGHT - _BOTTOM - height), _n(width), _n(height),
                        labels[place], one.name, told(float(value)),
                    )
                )  # fmt: skip
    return Markup().join(parts)


def line(
    labels: Sequence[str],
    one: Series,
    told: Callable[[float], str],
    limit: float | None = None,
) -> Markup:
    """A line with a point for each value; with a dashed line at ``limit``."""
    top = _top([*_values([one]), *([limit] if limit else [])])
    parts = [_frame(labels, top, told)]
    if limit:
        y = _HEIGHT - _BOTTOM - limit / top * _inner_height()
        parts.append(
            Markup(
                '<line class="zero" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<text class="value" x="{}" y="{}" text-anchor="end">limite {}</text>'
            ).format(_LEFT, _WIDTH - _RIGHT, _n(y), _n(y), _WIDTH - _RIGHT, _n(y - 3), told(limit))
        )
    slot = _inner_width() / max(len(labels), 1)
    run: list[str] = []
    for place, value in enumerate([*one.values, None]):
        if value is None:
            if len(run) > 1:
                parts.append(Markup('<polyline class="line" points="{}"/>').format(" ".join(run)))
            run = []
            continue
        x = _LEFT + slot * (place + 0.5)
        y = _HEIGHT - _BOTTOM - value / top * _inner_height()
        run.append(f"{_n(x)},{_n(y)}")
        bad = "bad" if limit and value > limit else ""
        parts.append(
            Markup(
                '<circle class="bar {}" cx="{}" cy="{}" r="3"><title>{}: {}</title></circle>'
            ).format(bad, _n(x), _n(y), labels[place], told(value))
        )
    return Markup().join(parts)


def _values(series: Sequence[Series]) -> list[float]:
    return [float(value) for one in series for value in one.values if value is not None]


def _top(values: Sequence[float]) -> float:
    """A round number at or above all values."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    unit = 1.0
    while unit * 10 <= most:
        unit *= 10
    while unit > most:
        unit /= 10
    return next(unit * step for step in _STEPS if unit * step >= most * 0.999)


def _frame(labels: Sequence[str], top: float, told: Callable[[float], str]) -> Markup:
    parts = []
    whole = told(top / 2) not in (told(0.0), told(top))
    for part in (0.0, 0.5, 1.0) if whole else (0.0, 1.0):
        y = _n(_HEIGHT - _BOTTOM - part * _inner_height())
        parts.append(
            Markup(
                '<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<text x="{}" y="{}" text-anchor="end" dominant-baseline="middle">{}</text>'
            ).format(_LEFT, _WIDTH - _RIGHT, y, y, _LEFT - 5, y, told(part * top))
        )
    slot = _inner_width() / max(len(labels), 1)
    every = max(1, -(-len(labels) * 46 // int(_inner_width())))
    for place, label in enumerate(labels):
        if place % every == 0:
            x = _n(_LEFT + slot * (place + 0.5))
            parts.append(
                Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    x, _HEIGHT - 8, label
                )
            )
    return Markup().join(parts)


def svg(chart: Markup, title: str) -> Markup:
    """A chart as an image of its own; ``title`` is what it is called to who can't see it."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, chart)


def _inner_width() -> float:
    return _WIDTH - _LEFT - _RIGHT


def _inner_height() -> float:
    return _HEIGHT - _TOP - _BOTTOM


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
