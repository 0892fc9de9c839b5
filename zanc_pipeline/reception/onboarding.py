"""From a sample to a convênio: the drafted layout in its folder, and what is left to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.archive import write_atomically
from zanc_pipeline.reception.infer import draft
from zanc_pipeline.reception.infer_set import draft_set
from zanc_pipeline.reception.layout import REQUIRED, load_any_layout, unconfirmed

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def onboard(
    settings: Settings, samples: Sequence[Path], output: Path, *, crm: str | None, force: bool
) -> Iterator[str]:
    """Write the draft of ``samples`` to ``output``; yield lines that say what is next.

    Several samples are the files of one set.
    In a folder of ``config/convenios`` without ``convenio.yaml``, ``crm`` writes that file too.
    Raises DataError for a sample that no layout fits and an output that exists, ConfigError for an
    unknown CRM or a folder's name that no convênio may have.
    """
    if output.exists() and not force:
        raise DataError(f"{output} já existe: dê outro nome ou use --force")
    folder = output.resolve().parent
    convenio = folder.name if folder.parent == (settings.config / "convenios").resolve() else None
    if crm is not None:
        _check_crm(settings, convenio, folder, crm)
    if convenio is not None and not _NAME.fullmatch(convenio):
        raise ConfigError(f"{folder}: o nome da pasta só pode ter letras minúsculas, números e _")
    today = datetime.now(tz=UTC).date()
    text = draft(samples[0], today=today) if len(samples) == 1 else draft_set(samples, today=today)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(output, lambda target: target.write(text.encode("utf-8")))
    yield f"{output}: rascunho escrito"
    layout = load_any_layout(output)
    names = {field.name for field in layout.fields}
    whole = layout.content == "carteira"
    if missing := [name for name in REQUIRED if whole and name not in names]:
        yield f"  falta dizer qual campo é: {', '.join(missing)} (troque o 'nome' do campo certo)"
    if doubtful := unconfirmed(layout):
        yield (
            f"  a confirmar: {', '.join(doubtful)}: leia os comentários CONFIRA, acerte e apague "
            "'confirmar: sim'"
        )
    if convenio is None:
        return
    if crm is not None:
        about = f"# Quem é o credor e para qual CRM vai.\nnome: {convenio}\ncrm: {crm}\n"
        write_atomically(folder / "convenio.yaml", lambda target: target.write(about.encode()))
        yield f"{folder / 'convenio.yaml'}: escrito; troque o 'nome' pelo do credor"
    elif not (folder / "convenio.yaml").exists():
        yield (
            f"  falta {folder / 'convenio.yaml'}: repita com --force --crm NOME "
            f"(um destes: {', '.join(_crms(settings))})"
        )
    number = re.search(r"\}\D{0,3}(\d{1,2})(?!\d)", layout.files[0])
    if number:
        yield (
            f"  o nome traz '{number.group(1)}' depois da data: se é o número do arquivo, escreva "
            "{sequencia} no lugar dele em 'arquivos'"
        )
    for sample in samples:
        asked = shlex.quote(str(sample))
        yield f"Depois, confira: zanc reception check {asked} --convenio {convenio}"


def _check_crm(settings: Settings, convenio: str | None, folder: Path, crm: str) -> None:
    if convenio is None:
        raise ConfigError(
            f"{folder}: --crm só vale para um layout em {settings.config / 'convenios'}/NOME/"
        )
    if crm not in _crms(settings):
        raise ConfigError(f"não há CRM '{crm}': use um destes: {', '.join(_crms(settings))}")
    if (folder / "convenio.yaml").exists():
        raise ConfigError(
            f"{folder / 'convenio.yaml'} já existe e diz qual é o CRM: repita sem --crm"
        )


def _crms(settings: Settings) -> list[str]:
    return sorted(path.stem for path in (settings.config / "crms").glob("*.yaml"))
