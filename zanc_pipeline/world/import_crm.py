"""The CRM that takes import files, simulated: it reads each, refuses some clients, and answers."""

from __future__ import annotations

from collections.abc import Mapping

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters import adapter_for
from zanc_pipeline.crm.adapters.fixed_width import ACCEPTED, REFUSED, FixedWidthFiles

_IN_COURT_EVERY = 199
"""About one client in so many is in a court case, and such a CRM takes no debt of it."""


def answer_imports(settings: Settings) -> dict[int, int]:
    """Take every import file that waits and answer it; delivery → clients refused.

    A file is moved to ``processados`` before its answer appears, as the contract of the folder is;
    one that was moved and not answered by a killed run is answered by the next.
    """
    refused = {}
    for crm in settings.crms:
        adapter = adapter_for(settings, crm)
        if not isinstance(adapter, FixedWidthFiles):
            continue
        adapter.ensure()
        for path in sorted(adapter.folder.glob("entrada/*.txt")):
            path.replace(adapter.folder / "processados" / path.name)
        for path in sorted(adapter.folder.glob("processados/ZANC_*.txt")):
            answer = adapter.folder / "devolucao" / path.name
            if answer.is_file() or (answer.parent / "lidos" / path.name).is_file():
                continue
            lines = []
            for row, client in enumerate(adapter.read_import(path), 1):
                reason = _reason(client)
                verdict = adapter.answer.codes[ACCEPTED if reason is None else REFUSED]
                cells = {"linha": row, "cpf": client["cpf"], "situacao": verdict, "motivo": reason}
                lines.append(f"1{adapter.answer.row.render(cells)}")
            number = int(path.stem.removeprefix("ZANC_"))
            lines = [f"0{number:010d}", *lines, f"9{len(lines):010d}"]
            aside = answer.with_name(f".{answer.name}.part")
            aside.write_text("\r\n".join(lines) + "\r\n", encoding="ascii", newline="")
            aside.replace(answer)
            code = adapter.answer.codes[REFUSED]
            refused[number] = sum(
                adapter.answer.row.read(line[1:])["situacao"] == code for line in lines[1:-1]
            )
    return refused


def _reason(client: Mapping[str, str]) -> str | None:
    if not client.get("phone"):
        return "CLIENTE SEM TELEFONE"
    if int(client["cpf"]) % _IN_COURT_EVERY == 0:
        return "CLIENTE EM ACAO JUDICIAL"
    return None
