"""What a mailing is and why, in Portuguese: as text, and as a page with plots. Pure.

Neither names anybody: they hold sums only.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zanc_pipeline.mailing.service import Mailing

_HEADINGS = ("", "pessoas", "atendimentos", "pagamentos", "custo", "lucro")


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the first call to each of ``people`` should bring; ``cost``, ``profit`` in R$."""

    name: str
    people: int
    answers: float
    payments: float
    cost: float
    profit: float

    def texts(self) -> list[str]:
        """The cells as the analyst reads them."""
        return [
            self.name,
            thousands(self.people),
            decimal(self.answers),
            decimal(self.payments),
            reais(self.cost),
            reais(self.profit),
        ]


def explanation(made: Mailing, before: Mailing | None = None) -> str:
    """The waterfall and the expected result of a mailing, beside other ways to call.

    ``before`` is the campaign's mailing of the day before, or the latest earlier one.
    """
    lines = [f"Mailing {made.id}, dia {made.day:%d/%m/%Y}", ""]
    lines += [f"{sign}{thousands(people):>9}  {text}" for sign, people, text in steps(made)]
    lines += ["", "Na primeira ligação a cada pessoa espera-se:"]
    rows = [list(_HEADINGS), *(line.texts() for line in comparison(made, before))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for name, *cells in rows:
        figures = "  ".join(
            cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)
        )
        lines.append(f"  {name:<{widths[0]}}  {figures}")
    return "\n".join([*lines, "", *notes(made)])


def page(made: Mailing, before: Mailing | None = None) -> str:
    """The same as an HTML page that asks no other address for anything."""
    top = max(people for _, people, _ in steps(made)) or 1
    funnel = "".join(
        f"<tr><td>{html.escape(sign + text)}</td><td class=n>{thousands(people)}</td>"
        f'<td><svg width="240" height="12"><rect width="{240 * people / top:.1f}" height="12"/>'
        "</svg></td></tr>"
        for sign, people, text in steps(made)
    )
    figures = "".join(
        "<tr><td>" + "</td><td class=n>".join(map(html.escape, row)) + "</td></tr>"
        for row in (line.texts() for line in comparison(made, before))
    )
    remarks = "".join(f"<li>{html.escape(note)}</li>" for note in notes(made))
    headings = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    by_hour = made.details["answer_by_hour"]
    return f"""<!doctype html>
<html lang="pt-BR"><head><meta charset="utf-8"><title>{html.escape(made.id)}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; color: #222 }}
td, th {{ padding: .15em .8em .15em 0; text-align: left }} .n, th {{ text-align: right }}
svg {{ fill: #2a6f97; font-size: 11px }} text {{ fill: #444 }}
</style></head><body>
<h1>Mailing {html.escape(made.id)}</h1>
<p>Campanha {html.escape(made.campaign)}, dia {made.day:%d/%m/%Y}: {thousands(made.leads)} pessoas.
SHA-256 {made.sha256}</p>
<h2>De quem entrou a quem ficou</h2><table>{funnel}</table>
<h2>O que se espera da primeira ligação a cada pessoa</h2>
<table><tr>{headings}</tr>{figures}</table>
<ul>{remarks}</ul>
<h2>Lucro ao longo da fila</h2>{_curve(made.details["running_profit"])}
<h2>Chance de atender por hora, nos primeiros telefones</h2>{_bars(by_hour)}
</body></html>
"""


def thousands(number: int) -> str:
    """1.234."""
    return f"{number:,}".replace(",", ".")


def decimal(number: float) -> str:
    """1.234,5."""
    return f"{number:,.1f}".translate(str.maketrans(",.", ".,"))


def reais(amount: float) -> str:
    """R$ 1.234,50."""
    sign = "-" if amount < 0 else ""
    return f"{sign}R$ " + f"{abs(amount):,.2f}".translate(str.maketrans(",.", ".,"))


def steps(made: Mailing) -> list[tuple[str, int, str]]:
    """The waterfall: sign, people and text of each step."""
    last = len(made.waterfall) - 1
    return [
        (
            "  " if place == 0 else "= " if place == last else "− ",
            int(step["people"]),
            str(step["texto"]),
        )
        for place, step in enumerate(made.waterfall)
    ]


def comparison(made: Mailing, before: Mailing | None) -> list[Line]:
    """A mailing beside other ways to call, and beside ``before``, an earlier one."""
    rows = [
        ("este mailing, na melhor hora", made.leads, made.expected),
        ("este mailing, em qualquer hora", made.leads, made.details["any_hour"]),
        ("tantas pessoas ao acaso", made.leads, made.details["at_random"]),
    ]
    if before is not None:
        rows.append((f"o mailing de {before.day:%d/%m}", before.leads, before.expected))
    return [Line(name=name, people=people, **expected) for name, people, expected in rows]


def notes(made: Mailing) -> list[str]:
    """What a mailing leaves to chance and what that costs, a sentence each."""
    drawn = made.details["exploration"]
    notes = [f"Efeito da ligação: {made.details['effect']['texto']}."]
    if drawn["control_people"]:
        notes.append(
            f"Grupo de controle: {thousands(drawn['control_people'])} pessoas que não se chamam; "
            f"custa {reais(drawn['control_cost'])} de lucro neste mailing."
        )
    if drawn["drawn_people"]:
        notes.append(
            f"Por sorteio entraram {thousands(drawn['drawn_people'])} pessoas que o lucro ou a "
            f"capacidade deixaria fora; custa {reais(drawn['drawn_cost'])}."
        )
    if drawn["hours_people"]:
        notes.append(
            f"A {thousands(drawn['hours_people'])} pessoas se liga em uma hora sorteada; custa "
            f"{reais(drawn['hours_cost'])}."
        )
    return notes


def _curve(points: Sequence[Sequence[float]]) -> str:
    """A line through (people, reais)."""
    width, height, left = 640, 220, 90
    most = max(points[-1][0], 1)
    low, high = min(0.0, *(y for _, y in points)), max(1e-9, *(y for _, y in points))
    scale = (height - 30) / (high - low)
    line = " ".join(
        f"{left + (width - left) * x / most:.1f},{10 + (high - y) * scale:.1f}" for x, y in points
    )
    return (
        f'<svg width="{width + 20}" height="{height + 10}" role="img">'
        f'<polyline points="{line}" fill="none" stroke="#2a6f97" stroke-width="2"/>'
        f'<text x="0" y="16">{reais(high)}</text>'
        f'<text x="0" y="{10 + high * scale:.0f}">{reais(0)}</text>'
        f'<text x="{left}" y="{height + 6}">1ª pessoa</text>'
        f'<text x="{width}" y="{height + 6}" text-anchor="end">{thousands(int(most))}ª</text></svg>'
    )


def _bars(by_hour: dict[str, Any]) -> str:
    """A bar for each hour."""
    values = [(hour, value or 0.0) for hour, value in by_hour.items()]
    top = max([value for _, value in values] + [1e-9])
    bars = "".join(
        f'<rect x="{50 * place + 4}" y="{130 - 110 * value / top:.1f}" width="40" '
        f'height="{110 * value / top:.1f}"/>'
        f'<text x="{50 * place + 24}" y="146" text-anchor="middle">{hour}h</text>'
        f'<text x="{50 * place + 24}" y="{126 - 110 * value / top:.1f}" text-anchor="middle">'
        f"{100 * value:.0f} %</text>"
        for place, (hour, value) in enumerate(values)
    )
    return f'<svg width="{50 * len(values) + 10}" height="150" role="img">{bars}</svg>'
