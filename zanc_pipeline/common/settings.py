"""All settings, in one place: ``config/stack.yaml`` with the environment on top."""

from __future__ import annotations

import os
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.secrets import secret

Port = int

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_NAME_RULE = "a name is small letters, digits and _"
_OTHER_PROCESSES = frozenset({"carrier", "phones", "postgres", "mlflow", "ftp", "dialer"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PostgresSettings(_Part):
    """The PostgreSQL server: embedded unless ``url`` names another."""

    url: str | None = None
    host: str = "127.0.0.1"
    port: Port
    user: str = "zanc"
    password: str = Field(default="", repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the stack starts the server itself."""
        return self.url is None

    def target(self, database: str) -> dict[str, Any]:
        """Connection keywords of psycopg2 and asyncpg-compatible values for ``database``."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": database,
        }

    def sqlalchemy_url(self, database: str) -> str:
        """The URL of ``database`` for SQLAlchemy, Airflow and MLflow (psycopg2 driver)."""
        from sqlalchemy import URL

        return URL.create(
            "postgresql+psycopg2", self.user, self.password, self.host, self.port, database
        ).render_as_string(hide_password=False)


class WebPart(_Part):
    """A service reached by HTTP: ours on ``port`` unless ``url`` names another."""

    url: str | None = None
    port: Port
    username: str = "admin"
    password: str = Field(default="", repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the stack starts the service itself."""
        return self.url is None


class DialerSettings(WebPart):
    """The dialer; ``who_answers`` says who tells a person from a machine.

    That is Asterisk's own detection (``amd``) or our model of ``models/alo`` (``model``), for
    which the PBXs send the sound of answered calls to ``ears``, an address of the dialer's machine.
    ``trusted_proxies`` are the addresses or networks of the proxies in front of the pages: only
    from them ``X-Forwarded-For`` is believed.
    """

    who_answers: Literal["amd", "model"] = "amd"
    ears: str = "127.0.0.1"
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()


class LocalizationSettings(WebPart):
    """The localization service; ``processes`` share its port, 0 is one for each core."""

    processes: int = Field(default=0, ge=0)


class FtpSettings(_Part):
    """The FTP server that creditors upload to: a folder for each convênio."""

    url: str | None = None
    host: str = "127.0.0.1"
    port: Port
    username: str = "zanc"
    password: str = Field(default="", repr=False)
    first_passive_port: Port
    passive_ports: int
    poll_seconds: float
    stable_seconds: float

    @property
    def embedded(self) -> bool:
        """Whether the stack starts the server itself."""
        return self.url is None


class AsteriskSettings(_Part):
    """One Asterisk: ours when ``host`` is empty."""

    host: str | None = None
    version: int
    sip_port: Port
    ami_port: Port
    rtp_start: Port
    rtp_end: Port
    ami_user: str = "zanc"
    ami_secret: str = Field(default="", repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the stack starts this Asterisk itself."""
        return self.host is None


class TrunkSettings(_Part):
    """A trunk of a PBX: its SIP endpoint there has the trunk's name."""

    lines: int = Field(default=100, ge=1, le=10_000)
    calls_per_second: float = Field(default=10, gt=0, le=1000)


class CentralSettings(AsteriskSettings):
    """One PBX (central) of the call centre; not ``enabled``, it gets no calls and is not started.

    ``lines`` and ``calls_per_second`` are the most it may have over all of its trunks.
    """

    enabled: bool = True
    ami_tls: bool = False
    ami_ca: Path | None = None
    lines: int = Field(default=100, ge=1, le=10_000)
    calls_per_second: float = Field(default=20, gt=0, le=1000)
    trunks: dict[str, TrunkSettings] = Field(
        default_factory=lambda: {"carrier": TrunkSettings()}, min_length=1
    )

    @field_validator("trunks")
    @classmethod
    def _named(cls, trunks: dict[str, TrunkSettings]) -> dict[str, TrunkSettings]:
        for name in trunks:
            if _NAME.fullmatch(name) is None or name.startswith(("op", "peer")):
                raise ValueError(f"trunk {name!r}: {_NAME_RULE}, and not 'op…' or 'peer…'")
        return trunks


class WorldSettings(_Part):
    """The simulated world of the demo and of the tests."""

    enabled: bool
    seed: int
    debtors: int
    past_calls: int
    operators: int
    agi_port: Port
    any_hour: bool
    time_scale: float


class Settings(BaseSettings):
    """Everything that can be set. Build it with ``load_settings``."""

    model_config = SettingsConfigDict(env_prefix="ZANC_", env_nested_delimiter="__", extra="forbid")

    root: Path
    var: Path = Path("var")
    config: Path = Path("config")
    host: str
    port_offset: int = 0
    postgres: PostgresSettings
    airflow: WebPart
    mlflow: WebPart
    ftp: FtpSettings
    localization: LocalizationSettings
    dialer: DialerSettings
    centrais: dict[str, CentralSettings]
    carrier: AsteriskSettings
    phones: AsteriskSettings
    world: WorldSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit arguments win over the environment, which wins over ``config/stack.yaml``."""
        stack = read_yaml(project_root() / "config" / "stack.yaml")
        return init_settings, env_settings, InitSettingsSource(settings_cls, stack)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.var = (self.root / self.var).resolve()
        self.config = (self.root / self.config).resolve()
        self._shift_ports()
        self._complete_postgres()
        self._complete_ftp()
        for name in ("airflow", "mlflow", "localization", "dialer"):
            part: WebPart = getattr(self, name)
            if part.embedded and not part.password:
                part.password = self.secret(f"{name}_password", length=12)
        for name, pbx in self._asterisks().items():
            if pbx.embedded and not pbx.ami_secret:
                pbx.ami_secret = self.secret(f"{name}_ami")
        return self

    @field_validator("centrais")
    @classmethod
    def _named(cls, centrais: dict[str, CentralSettings]) -> dict[str, CentralSettings]:
        for name in centrais:
            if _NAME.fullmatch(name) is None or name in _OTHER_PROCESSES:
                raise ValueError(f"PBX {name!r}: {_NAME_RULE}, and no name of another process")
        if not any(central.enabled for central in centrais.values()):
            raise ValueError("name at least one PBX that is enabled")
        return centrais

    @property
    def used_centrais(self) -> dict[str, CentralSettings]:
        """The PBXs that get calls, by name."""
        return {name: central for name, central in self.centrais.items() if central.enabled}

    def _asterisks(self) -> dict[str, AsteriskSettings]:
        return {**self.centrais, "carrier": self.carrier, "phones": self.phones}

    def _shift_ports(self) -> None:
        for part, external in (
            (self.postgres, self.postgres.url),
            (self.airflow, self.airflow.url),
            (self.mlflow, self.mlflow.url),
            (self.ftp, self.ftp.url),
            (self.localization, self.localization.url),
            (self.dialer, self.dialer.url),
            *((pbx, pbx.host) for pbx in self._asterisks().values()),
            (self.world, None),
        ):
            for field, info in type(part).model_fields.items():
                if info.annotation is Port and _is_port(field) and external is None:
                    setattr(part, field, getattr(part, field) + self.port_offset)

    def _complete_postgres(self) -> None:
        if self.postgres.url is None:
            self.postgres.host = self.host
            self.postgres.password = self.postgres.password or self.secret("postgres_password")
            return
        url = urlsplit(self.postgres.url)
        self.postgres.host = url.hostname or "127.0.0.1"
        self.postgres.port = url.port or 5432
        self.postgres.user = unquote(url.username or "zanc")
        self.postgres.password = unquote(url.password or "")

    def _complete_ftp(self) -> None:
        if self.ftp.url is None:
            self.ftp.host = self.host
            self.ftp.password = self.ftp.password or self.secret("ftp_password", length=12)
            return
        url = urlsplit(self.ftp.url)
        self.ftp.host = url.hostname or "127.0.0.1"
        self.ftp.port = url.port or 21
        self.ftp.username = unquote(url.username or "anonymous")
        self.ftp.password = unquote(url.password or "")

    def secret(self, name: str, *, length: int = 32) -> str:
        """A secret of this stack, generated on first use under ``var/secrets``."""
        return secret(self.var / "secrets", name, length=length)

    def web_url(self, part: WebPart) -> str:
        """The base URL of a service, without a trailing slash."""
        return (part.url or f"http://{self.host}:{part.port}").rstrip("/")

    def mlflow_page(self, page: str = "experiments") -> str:
        """A page of MLflow as one who trains models sees it; its own choice is the GenAI view."""
        return f"{self.web_url(self.mlflow)}/#/{page}?workflowType=machine_learning"

    @cached_property
    def convenios(self) -> dict[str, dict[str, Any]]:
        """``config/convenios/<name>/convenio.yaml`` by name."""
        return {
            path.parent.name: read_yaml(path)
            for path in sorted(self.config.glob("convenios/*/convenio.yaml"))
        }

    @cached_property
    def crms(self) -> dict[str, dict[str, Any]]:
        """``config/crms/<name>.yaml`` by name."""
        return {path.stem: read_yaml(path) for path in sorted(self.config.glob("crms/*.yaml"))}

    @cached_property
    def campaigns(self) -> dict[str, dict[str, Any]]:
        """``config/campaigns/<name>.yaml`` by name."""
        return {path.stem: read_yaml(path) for path in sorted(self.config.glob("campaigns/*.yaml"))}


def _is_port(field: str) -> bool:
    return field == "port" or field.endswith("_port") or field.startswith("rtp_")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError names the file and the line when it is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: the file does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML: {problem}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines at the top level")
    return content


def project_root() -> Path:
    """The folder that holds ``config/stack.yaml``: ZANC_ROOT, the current folder or the source."""
    named = os.environ.get("ZANC_ROOT")
    source = Path(__file__).resolve().parents[2]
    for folder in (Path(named) if named else Path.cwd(), source):
        if (folder / "config" / "stack.yaml").is_file():
            return folder.resolve()
    raise ConfigError("config/stack.yaml not found: run from the project's folder or set ZANC_ROOT")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings afresh.

    Raises ConfigError with the key and the problem when a value is wrong.
    """
    try:
        return Settings(root=project_root(), **overrides)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
            for problem in error.errors()
        )
        raise ConfigError(f"config/stack.yaml or environment: {problems}") from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()
