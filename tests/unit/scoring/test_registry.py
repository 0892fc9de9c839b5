"""What a promotion that was killed half way leaves behind."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.scoring.registry import CHAMPION, PAST_CHAMPIONS, Registry


class Killed(Exception):
    """The process died here."""


class FakeMlflow:
    """The aliases and tags of one registered model with three versions."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.die_at_alias = False

    def get_registered_model(self, name: str) -> Any:
        return SimpleNamespace(aliases=dict(self.aliases), tags=dict(self.tags))

    def search_model_versions(self, query: str) -> list[Any]:
        return [SimpleNamespace(version=n, run_id=str(n), tags={}) for n in (1, 2, 3)]

    def get_run(self, run_id: str) -> Any:
        data = SimpleNamespace(tags={}, params={}, metrics={})
        return SimpleNamespace(data=data, info=SimpleNamespace(run_name=run_id))

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if self.die_at_alias:
            raise Killed
        self.aliases[alias] = version

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.tags[key] = value


def test_a_promotion_killed_before_its_alias_leaves_the_champion_and_can_be_repeated() -> None:
    mlflow = FakeMlflow()
    models = Registry(mlflow)
    models.promote("zanc_x", 1)
    mlflow.die_at_alias = True
    with pytest.raises(Killed):
        models.promote("zanc_x", 2)
    mlflow.die_at_alias = False
    assert mlflow.aliases[CHAMPION] == "1"
    with pytest.raises(ConflictError, match="no champion before"):
        models.rollback("zanc_x")
    models.promote("zanc_x", 2)
    assert json.loads(mlflow.tags[PAST_CHAMPIONS]) == [1]
    models.promote("zanc_x", 3)
    assert (models.rollback("zanc_x"), models.rollback("zanc_x")) == (2, 1)
