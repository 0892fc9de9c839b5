"""``config/avisos.yaml``: who is told, of what. Without the file, or without a way, nobody is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.common.yaml_text import YamlText, read_yaml_text

FILE = "avisos.yaml"
KINDS = {
    "quarentena": "Entrega em quarentena",
    "arquivo_faltando": "Arquivo que falta",
    "espera_vencida": "Espera vencida",
    "execucao_falhou": "Execução que falhou",
    "mudanca_no_modelo": "Mudança no modelo",
    "central_caiu": "Central fora de alcance",
}
"""What may be told of, and its name for people."""

_TLS = ("starttls", "direto", "nenhum")
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}", re.ASCII)
_HERE = {"127.0.0.1", "::1", "localhost"}

Place = Sequence[str | int]


@dataclass(frozen=True, kw_only=True)
class Email:
    """An SMTP server, and who writes to whom."""

    server: str
    port: int
    tls: Literal["starttls", "direto", "nenhum"]
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that takes JSON by POST."""

    url: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class NoticeSettings:
    """The ways, and the kinds that are told by them."""

    email: Email | None = None
    webhook: Webhook | None = None
    kinds: frozenset[str] = frozenset(KINDS)

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of the ways that are set up."""
        return tuple(
            name for name, way in (("email", self.email), ("webhook", self.webhook)) if way
        )


def read_notice_settings(settings: Settings) -> NoticeSettings:
    """Read the file afresh. Raises ConfigError, in Portuguese, with the line that is wrong."""
    path = settings.config / FILE
    if not path.exists():
        return NoticeSettings()
    text = read_yaml_text(path)
    content = text.content
    _only(text, [], content, ("quando", "email", "webhook"))
    return NoticeSettings(
        email=_email(text, settings, content["email"]) if content.get("email") else None,
        webhook=_webhook(text, settings, content["webhook"]) if content.get("webhook") else None,
        kinds=_kinds(text, content.get("quando")),
    )


def _kinds(text: YamlText, told: object) -> frozenset[str]:
    if told is None:
        return frozenset(KINDS)
    if not isinstance(told, list):
        raise text.error(["quando"], f"deve ser uma lista com {', '.join(KINDS)}")
    for number, kind in enumerate(told):
        if not isinstance(kind, str) or kind not in KINDS:
            raise text.error(["quando", number], f"{kind!r} não existe: use {', '.join(KINDS)}")
    return frozenset(told)


def _email(text: YamlText, settings: Settings, section: object) -> Email:
    place = ["email"]
    found = _only(text, place, section, ("servidor", "porta", "tls", "usuario", "de", "para"))
    tls = found.get("tls", "starttls")
    if tls not in _TLS:
        raise text.error([*place, "tls"], f"deve ser {', '.join(_TLS)}")
    port = found.get("porta", {"starttls": 587, "direto": 465}.get(tls, 25))
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise text.error([*place, "porta"], "deve ser um número de 1 a 65535")
    server = _text(text, place, found, "servidor")
    if _HOST.fullmatch(server) is None:
        raise text.error([*place, "servidor"], "deve ser o nome ou o endereço de um servidor")
    user = _text(text, place, found, "usuario") if "usuario" in found else ""
    if user and tls == "nenhum" and server not in _HERE:
        raise text.error([*place, "tls"], "sem TLS a senha iria aberta pela rede: use starttls")
    password = _secret(settings, "avisos_email")
    if user and not password:
        raise text.error([*place, "usuario"], "grave a senha em var/secrets/avisos_email")
    return Email(
        server=server,
        port=port,
        tls=tls,
        sender=_address(text, [*place, "de"], found.get("de")),
        to=_addresses(text, [*place, "para"], found.get("para")),
        user=user,
        password=password,
    )


def _webhook(text: YamlText, settings: Settings, section: object) -> Webhook:
    found = _only(text, ["webhook"], section, ("url",))
    url = _text(text, ["webhook"], found, "url")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or any(sign.isspace() for sign in url):
        raise text.error(["webhook", "url"], "deve começar com https:// (ou http://) e um servidor")
    return Webhook(url=url, token=_secret(settings, "avisos_webhook"))


def _only(text: YamlText, place: Place, section: object, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(section, dict):
        raise text.error(place, f"escreva linhas como 'chave: valor' ({', '.join(keys)})")
    for key in section:
        if key not in keys:
            raise text.error([*place, str(key)], f"não existe: use {', '.join(keys)}")
    return section


def _text(text: YamlText, place: Place, found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value.strip():
        raise text.error([*place, key], f"falta '{key}', ou não é um texto")
    return value.strip()


def _address(text: YamlText, place: Place, value: object) -> str:
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise text.error(place, "deve ser um endereço como nome@empresa.com.br")
    return value


def _addresses(text: YamlText, place: Place, value: object) -> tuple[str, ...]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not several:
        raise text.error(place, "deve ser um endereço, ou uma lista deles")
    return tuple(_address(text, [*place, number], one) for number, one in enumerate(several))


def _secret(settings: Settings, name: str) -> str:
    """A secret that a person wrote; never made up."""
    return settings.secret(name) if (settings.var / "secrets" / name).is_file() else ""
