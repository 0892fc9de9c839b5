"""A CRM that takes fixed-width import files, one row a client, and answers with return files.

    <folder>/entrada/ZANC_<delivery id>.txt      the import file; its existence is the mark
    <folder>/processados/                        where the CRM moves an import file it has taken
    <folder>/devolucao/ZANC_<delivery id>.txt    the CRM's answer: each row accepted or refused
    <folder>/devolucao/lidos/                    answers that were read
    <folder>/entrada/ESTORNO_<delivery>_<n>.txt  asks the CRM to undo an import that it has taken
    <folder>/estornados/                         import files taken back, and their answers
    <folder>/retorno/ZANC_RET_<batch>.txt        outcomes of calls

Every file of ours is written aside, synced and linked into place: it is there whole or not at all.
A file has a header (type 0: convênio, reference date, delivery), a detail a row (type 1) and a
trailer (type 9: number of details).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from zanc_pipeline.common.errors import ConfigError, DataError, UnavailableError
from zanc_pipeline.crm.adapters.fixed_layout import Layout
from zanc_pipeline.crm.choice import Choice, Contacts
from zanc_pipeline.crm.entities import PORTFOLIO_COLUMNS, CallOutcome, Loaded, Portfolio

_CONVENIO_WIDTH = 40
ACCEPTED, REFUSED = "aceito", "recusado"
CLIENT_FIELDS = {
    "cpf": "cpf",
    "nome": "name",
    "nascimento": "birth_date",
    "contrato": "contract",
    "produto": "product",
    "valor": "amount",
    "vencimento": "due_date",
    "email": "email",
    "cidade": "city",
    "uf": "state",
    "telefone": "phone",
    "contratos": "contracts_count",
    "total": "total",
}
OUTCOME_FIELDS = {
    "chamada": "call_id",
    "convenio": "convenio",
    "contrato": "contract",
    "cpf": "cpf",
    "telefone": "phone",
    "inicio": "started_at",
    "resultado": "outcome",
    "tabulacao": "tabulation",
    "promessa_data": "promise_date",
    "promessa_valor": "promise_amount",
}
ANSWER_FIELDS = {name: name for name in ("linha", "cpf", "situacao", "motivo")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A detail of an import file that the CRM did not take: the ``row``-th of the file."""

    row: int
    cpf: str
    contract: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The CRM's return file for a delivery."""

    delivery_id: int
    accepted: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerLayout:
    """The details of a return file, and how the CRM writes accepted and refused there."""

    row: Layout
    codes: Mapping[str, str]


class FixedWidthFiles:
    """The CRM's exchange ``folder``, the layouts of its detail rows, and the choice of one
    contract and one phone a client, for which ``contacts`` says what is known of phones.
    """

    unit: ClassVar[Literal["contracts", "clients"]] = "clients"

    def __init__(
        self,
        *,
        folder: str,
        client: Layout,
        outcome: Layout,
        answer: AnswerLayout,
        choice: Choice,
        contacts: Contacts,
    ) -> None:
        self.folder = Path(folder)
        self.client = client
        self.answer = answer
        self._outcome = outcome
        self._choice = choice
        self._contacts = contacts

    def ensure(self) -> None:
        names = ("entrada", "processados", "estornados", "retorno", "devolucao/lidos")
        try:
            for name in names:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError("CRM folder", str(self.folder), error.strerror) from None

    def load(self, portfolio: Portfolio) -> Loaded:
        mark = self.loaded(portfolio.delivery_id)
        if mark is not None:
            return mark
        header = (
            f"0{portfolio.convenio:<{_CONVENIO_WIDTH}}{portfolio.reference_date:%d%m%Y}"
            f"{portfolio.delivery_id:010d}{portfolio.rows:010d}"
        )
        clients = self._clients(portfolio)
        written = self._write(
            self._import_file(portfolio.delivery_id),
            header,
            (self.client.render(row) for row in clients),
        )
        return Loaded(rows=portfolio.rows, changed=written)

    def add(self, added: Portfolio) -> Loaded:
        """Its import files are of clients: there is nothing to write until the next portfolio."""
        return Loaded(rows=added.rows, changed=0)

    def loaded(self, delivery_id: int) -> Loaded | None:
        path = self._found(delivery_id)
        if path is None:
            return None
        content = path.read_text(encoding="ascii").splitlines()
        return Loaded(rows=int(content[0][-10:]), changed=len(content) - 2)

    def rollback(self, delivery_id: int) -> bool:
        path = self._found(delivery_id)
        if path is None:
            return False
        undone = self.folder / "estornados"
        number = len(list(undone.glob(f"ZANC_{delivery_id}_*.txt"))) + 1
        if path == self._processed_file(delivery_id):
            with path.open(encoding="ascii") as taken:
                header = taken.readline().rstrip("\r\n")
            self._write(self.folder / "entrada" / f"ESTORNO_{delivery_id}_{number}.txt", header, ())
        for place in ("devolucao", "devolucao/lidos"):
            answer = self.folder / place / path.name
            if answer.is_file():
                answer.replace(undone / f"DEVOLUCAO_{delivery_id}_{number}.txt")
        path.replace(undone / f"ZANC_{delivery_id}_{number}.txt")
        _sync_folder(path.parent)
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        path = self.folder / "retorno" / f"ZANC_RET_{batch:010d}.txt"
        if path.is_file():
            return
        rows = (
            self._outcome.render({name: getattr(outcome, name) for name in outcome.__slots__})
            for outcome in outcomes
        )
        self._write(path, f"0{batch:010d}", rows)

    def count(self) -> dict[str, int]:
        newest: dict[str, tuple[str, Path, int]] = {}
        for name in ("processados", "entrada"):
            for path in (self.folder / name).glob("ZANC_*.txt"):
                lines = path.read_text(encoding="ascii").splitlines()
                convenio, rest = lines[0][1 : 1 + _CONVENIO_WIDTH].strip(), lines[0][41:]
                order = rest[4:8] + rest[2:4] + rest[:2] + rest[8:18]
                if convenio not in newest or newest[convenio][0] < order:
                    newest[convenio] = (order, path, len(lines) - 2)
        return {
            convenio: rows - self._refused(path) for convenio, (_, path, rows) in newest.items()
        }

    def _refused(self, path: Path) -> int:
        """How many rows of an import file the CRM refused, in a return file that was read."""
        answer = self.folder / "devolucao" / "lidos" / path.name
        return len(self.read_answer(answer).refusals) if answer.is_file() else 0

    def answers(self) -> list[Path]:
        """The return files that were not read yet, oldest first."""
        found = (self.folder / "devolucao").glob("ZANC_*.txt")
        return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))

    def read_answer(self, path: Path) -> Answer:
        """What a return file says of each row of its import file.

        Raises DataError, which names the line, for a file that is not whole or speaks of others.
        """
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except UnicodeDecodeError:
            raise DataError(f"{path}: não é um arquivo de texto ASCII") from None
        if len(lines) < 2 or not lines[-1].startswith("9"):
            raise DataError(f"{path}: falta o rodapé: o CRM ainda o escreve, ou foi interrompido")
        header, *details, trailer = lines
        number = path.stem.removeprefix("ZANC_")
        if not (header[:1] == "0" and header[1:].strip().lstrip("0") == number.lstrip("0")):
            raise DataError(f"{path}:1: o cabeçalho não é o da entrega {number}")
        if trailer[1:].strip().lstrip("0") != (str(len(details)) if details else ""):
            raise DataError(f"{path}:{len(lines)}: o rodapé não conta {len(details)} linhas")
        sent_file = self._found(int(number)) if number.isascii() and number.isdigit() else None
        if sent_file is None:
            raise DataError(f"{path}: não há importação da entrega {number}")
        sent = self.read_import(sent_file)
        refusals, answered = [], set[int]()
        for place, line in enumerate(details, 2):
            where = f"{path}:{place}"
            row, refusal = self._answered(where, line, sent)
            if row in answered:
                raise DataError(f"{where}: a linha {row} já foi respondida acima")
            answered.add(row)
            if refusal is not None:
                refusals.append(refusal)
        if len(answered) != len(sent):
            raise DataError(f"{path}: responde {len(answered)} das {len(sent)} linhas enviadas")
        return Answer(
            delivery_id=int(number),
            accepted=len(answered) - len(refusals),
            refusals=tuple(refusals),
        )

    def put_aside(self, path: Path) -> None:
        """Keep a return file that was read among those read; done already, it does nothing."""
        try:
            path.replace(path.parent / "lidos" / path.name)
        except FileNotFoundError:
            return
        _sync_folder(path.parent)

    def read_import(self, path: Path) -> list[dict[str, str]]:
        """The cells of each detail of an import file."""
        details = path.read_text(encoding="ascii").splitlines()[1:-1]
        return [self.client.read(line[1:]) for line in details]

    def _answered(
        self, where: str, line: str, sent: Sequence[Mapping[str, str]]
    ) -> tuple[int, Refusal | None]:
        if line[:1] != "1":
            raise DataError(f"{where}: esperava um registro de tipo 1")
        cells = self.answer.row.read(line[1:])
        row = cells["linha"].lstrip("0")
        if not (row.isascii() and row.isdigit() and 1 <= int(row) <= len(sent)):
            raise DataError(f"{where}: a linha '{cells['linha']}' não existe na importação")
        detail = sent[int(row) - 1]
        if cells["cpf"] != detail["cpf"]:
            raise DataError(f"{where}: a linha {row} da importação é de outro CPF")
        verdict = {code: name for name, code in self.answer.codes.items()}.get(cells["situacao"])
        if verdict is None:
            raise DataError(f"{where}: a situação '{cells['situacao']}' não está em codigos")
        if verdict == ACCEPTED:
            return int(row), None
        refusal = Refusal(
            row=int(row),
            cpf=detail["cpf"],
            contract=detail.get("contract", ""),
            reason=cells["motivo"] or "sem motivo",
        )
        return int(row), refusal

    def _clients(self, portfolio: Portfolio) -> Iterator[Mapping[str, Any]]:
        """One row a CPF, in their order; the file's columns are in memory, not its rows."""
        import pyarrow as pa

        batches = list(portfolio.batches(PORTFOLIO_COLUMNS))
        table = pa.Table.from_batches(batches).sort_by(
            [("cpf", "ascending"), ("line", "ascending")]
        )
        rows = (row for batch in table.to_batches(10_000) for row in batch.to_pylist())
        clients = ((cpf, list(owned)) for cpf, owned in groupby(rows, key=lambda row: row["cpf"]))
        while some := list(islice(clients, 2_000)):
            known = self._contacts([cpf for cpf, _ in some]) if self._choice.needs_contacts else {}
            for _, owned in some:
                yield self._choice.one(owned, known)

    def _found(self, delivery_id: int) -> Path | None:
        candidates = (self._import_file(delivery_id), self._processed_file(delivery_id))
        return next((path for path in candidates if path.is_file()), None)

    def _import_file(self, delivery_id: int) -> Path:
        return self.folder / "entrada" / f"ZANC_{delivery_id}.txt"

    def _processed_file(self, delivery_id: int) -> Path:
        return self.folder / "processados" / f"ZANC_{delivery_id}.txt"

    def _write(self, path: Path, header: str, details: Iterable[str]) -> int:
        count = 0
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        try:
            try:
                with aside.open("x", encoding="ascii", newline="") as file:
                    file.write(f"{header}\r\n")
                    for detail in details:
                        file.write(f"1{detail}\r\n")
                        count += 1
                    file.write(f"9{count:010d}\r\n")
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # another process wrote the same file first
                    os.link(aside, path)
            finally:
                aside.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            raise UnavailableError("CRM folder", str(path.parent), error.strerror) from None
        return count


def parse_answer(content: object, *, where: str) -> AnswerLayout:
    """The section ``devolucao`` of a CRM's YAML; ConfigError names the key."""
    if not isinstance(content, dict) or set(content) != {"campos", "codigos"}:
        raise ConfigError(f"{where}: esperava as chaves campos e codigos")
    row = Layout.parse(content["campos"], known=ANSWER_FIELDS, where=f"{where}.campos")
    missing = set(ANSWER_FIELDS) - {field.name for field in row.fields}
    if missing:
        raise ConfigError(f"{where}.campos: falta o campo '{sorted(missing)[0]}'")
    codes = content["codigos"]
    if not isinstance(codes, dict) or set(codes) != {ACCEPTED, REFUSED}:
        raise ConfigError(f"{where}.codigos: escreva os códigos de {ACCEPTED} e {REFUSED}")
    texts = {name: str(code) for name, code in codes.items()}
    if texts[ACCEPTED] == texts[REFUSED]:
        raise ConfigError(f"{where}.codigos: {ACCEPTED} e {REFUSED} têm o mesmo código")
    return AnswerLayout(row=row, codes=texts)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
