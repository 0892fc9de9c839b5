"""One adapter a kind of CRM; ``config/crms/<name>.yaml`` says which and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters.base import CrmAdapter
from zanc_pipeline.crm.mapping import CrmMapping, parse_mapping


def adapter_for(settings: Settings, crm: str) -> CrmAdapter:
    """The adapter of ``crm``; ConfigError names the file and the key when it cannot be built."""
    config = settings.crms.get(crm)
    if config is None:
        raise ConfigError(f"no CRM '{crm}': config/crms/{crm}.yaml does not exist")
    kind = config.get("adapter")
    if str(kind) not in _BUILDERS:
        raise ConfigError(
            f"config/crms/{crm}.yaml: adapter: '{kind}' não é um de {', '.join(_BUILDERS)}"
        )
    build, keys = _BUILDERS[str(kind)]
    for key in config:
        if key not in ("adapter", *keys):
            raise ConfigError(
                f"config/crms/{crm}.yaml: {key}: chave desconhecida; existem adapter, "
                f"{', '.join(keys)}"
            )
    try:
        return build(settings, crm, config)
    except KeyError as error:
        raise ConfigError(f"config/crms/{crm}.yaml: falta a chave {error}") from None


def _normalised(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.postgres import PostgresCrm

    mapping = parse_mapping(crm, config)
    return PostgresCrm(settings, database=config["database"], mapping=mapping)


def _wide(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.postgres import PostgresCrm

    mapping = _one_table(parse_mapping(crm, config))
    return PostgresCrm(settings, database=config["database"], mapping=mapping)


def _sqlalchemy(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters.sqlalchemy_table import SqlAlchemyTable

    mapping = _one_table(parse_mapping(crm, config))
    return SqlAlchemyTable(_with_password(settings, crm, _placed(settings, config["url"])), mapping)


def _fixed_width(settings: Settings, crm: str, config: Mapping[str, Any]) -> CrmAdapter:
    from zanc_pipeline.crm.adapters import fixed_width
    from zanc_pipeline.crm.adapters.fixed_layout import Layout
    from zanc_pipeline.crm.choice import parse_choice
    from zanc_pipeline.crm.contacts import contacts_of

    source = f"config/crms/{crm}.yaml"
    return fixed_width.FixedWidthFiles(
        folder=_placed(settings, config["folder"]),
        client=Layout.parse(
            config["cliente"], known=fixed_width.CLIENT_FIELDS, where=f"{source}: cliente"
        ),
        outcome=Layout.parse(
            config["resultado"], known=fixed_width.OUTCOME_FIELDS, where=f"{source}: resultado"
        ),
        answer=fixed_width.parse_answer(config["devolucao"], where=f"{source}: devolucao"),
        choice=parse_choice(config["escolha"], where=f"{source}: escolha"),
        contacts=lambda cpfs: contacts_of(settings, cpfs),
    )


_MAPPED = ("tabelas", "criar_tabelas")
_BUILDERS: dict[
    str, tuple[Callable[[Settings, str, Mapping[str, Any]], CrmAdapter], tuple[str, ...]]
] = {
    "postgres_normalised": (_normalised, ("database", *_MAPPED)),
    "postgres_wide": (_wide, ("database", *_MAPPED)),
    "sqlalchemy": (_sqlalchemy, ("url", *_MAPPED)),
    "fixed_width": (_fixed_width, ("folder", "escolha", "cliente", "resultado", "devolucao")),
}


def _one_table(mapping: CrmMapping) -> CrmMapping:
    if len(mapping.tables) > 1:
        raise ConfigError(
            f"config/crms/{mapping.crm}.yaml: tabelas: este adapter guarda tudo em uma tabela só, "
            "de entidade contrato"
        )
    return mapping


def _with_password(settings: Settings, crm: str, url: str) -> str:
    """The URL with ``{senha}`` from ``var/secrets/crm_<name>``: no password is in a YAML."""
    if "{senha}" not in url:
        return url
    path = settings.var / "secrets" / f"crm_{crm}"
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError:
        raise ConfigError(
            f"config/crms/{crm}.yaml: url: escreva a senha do CRM no arquivo {path}"
        ) from None
    return url.replace("{senha}", quote(password, safe=""))


def _placed(settings: Settings, text: str) -> str:
    return text.replace("{var}", str(settings.var))
