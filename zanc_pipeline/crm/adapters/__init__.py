"""One adapter a kind of CRM; ``config/crms/<name>.yaml`` says which and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters.base import CrmAdapter


def adapter_for(settings: Settings, crm: str) -> CrmAdapter:
    """The adapter of ``crm``; ConfigError names the file and the key when it cannot be built."""
    config = settings.crms.get(crm)
    if config is None:
        raise ConfigError(f"no CRM '{crm}': config/crms/{crm}.yaml does not exist")
    kind = config.get("adapter")
    build = _BUILDERS.get(str(kind))
    if build is None:
        known = ", ".join(_BUILDERS)
        raise ConfigError(f"config/crms/{crm}.yaml: adapter '{kind}' is not one of {known}")
    try:
        return build(settings, crm, config)
    except KeyError as error:
        raise ConfigError(f"config/crms/{crm}.yaml: the key {error} is missing") from None


def _normalised(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.postgres_normalised import NormalisedPostgres

    return NormalisedPostgres(settings, database=config["database"])


def _wide(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.postgres_wide import WidePostgres

    return WidePostgres(settings, database=config["database"], table=config["table"])


def _sqlalchemy(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.sqlalchemy_table import SqlAlchemyTable

    return SqlAlchemyTable(crm, _placed(settings, config["url"]))


def _fixed_width(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.fixed_width import FixedWidthFiles, Layout

    source = f"config/crms/{crm}.yaml"
    return FixedWidthFiles(
        folder=_placed(settings, config["folder"]),
        client=Layout.parse(config["client"], where=f"{source}: client"),
        outcome=Layout.parse(config["outcome"], where=f"{source}: outcome"),
    )


_BUILDERS: dict[str, Callable[[Settings, str, Mapping[str, Any]], CrmAdapter]] = {
    "postgres_normalised": _normalised,
    "postgres_wide": _wide,
    "sqlalchemy": _sqlalchemy,
    "fixed_width": _fixed_width,
}


def _placed(settings: Settings, text: str) -> str:
    return text.replace("{var}", str(settings.var))
