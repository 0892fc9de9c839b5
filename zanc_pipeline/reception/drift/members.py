"""Files of a set: what tells their rows apart; a set one of whose members is read otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zanc_pipeline.reception.drift.content import content_of
from zanc_pipeline.reception.drift.sample import KEY, RowKey, row_key
from zanc_pipeline.reception.layout import AnyLayout, Layout, Member, SetLayout

_OF_THE_SET = ("versao", "vigencia")


@dataclass(frozen=True, kw_only=True, slots=True)
class Within:
    """Which file of which set is judged."""

    layout: SetLayout
    member: Member

    @property
    def key(self) -> RowKey:
        """What tells the rows apart: the contract, or else the key by which the file joins."""
        if self.member.main:
            return row_key({field.name for field in self.member.layout.fields})
        names = self.member.key
        name = KEY if KEY in names else names[0]
        return RowKey(name=name, many=self.member.many or len(names) > 1)

    def versions(self, layouts: Iterable[AnyLayout], own: Layout) -> list[Layout]:
        """How other versions of the set read this file, the newest first."""
        return [
            one.layout
            for layout in layouts
            if isinstance(layout, SetLayout) and layout.version != own.version
            for one in layout.members
            if one.name == self.member.name and one.key == self.member.key
        ][::-1]


def set_content(layout: SetLayout) -> dict[str, Any]:
    """The keys of a set's layout, as they would be read from its file."""
    content = content_of(layout)
    for member in content["membros"]:
        member["layout"] = _without_version(member["layout"])
    return content


def with_member(layout: SetLayout, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a set's layout with the member ``name`` read by the layout ``content``."""
    whole = set_content(layout)
    for member in whole["membros"]:
        if member["nome"] == name:
            member["layout"] = _without_version(content)
    return whole


def member_content(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keys of the layout of one member of a set."""
    return next(dict(one["layout"]) for one in whole["membros"] if one["nome"] == name)


def _without_version(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in _OF_THE_SET}
