"""A draft for files that make one portfolio together: which is the main one, what joins them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

import pyarrow as pa
import yaml

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.drift.sample import loose
from zanc_pipeline.reception.infer import draft, file_pattern
from zanc_pipeline.reception.infer_content import missing
from zanc_pipeline.reception.infer_write import quoted
from zanc_pipeline.reception.layout import REQUIRED, SetLayout, parse_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file

_OF_THE_SET = re.compile(r"(#|versao:|vigencia:|conteudo:)")
_MATCHED = 0.5
"""Share of the rows of a file, at least, whose key the other file has too."""
_JOINING = ("contrato", "cpf", "cnpj", "cpf_cnpj")
"""Fields that join files, the surest first; then any other that both have."""
_BATCHES = 4
_PLACED = re.compile(r"(coluna|posicao|caminho|inicio): ")


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    text: str
    keys: Mapping[str, Sequence[str]]
    """Field → its values in the sample, as they are compared."""

    def matches(self, key: str, other: _File) -> bool:
        """Whether the values of a field are those of the other file's."""
        own, theirs = [one for one in self.keys[key] if one], {*other.keys.get(key, ())}
        return bool(own) and sum(one in theirs for one in own) >= _MATCHED * len(own)

    def many(self, key: str) -> bool:
        """Whether one value of a field comes in several rows."""
        values = [one for one in self.keys[key] if one]
        return len({*values}) < len(values)


def draft_set(paths: Sequence[Path], *, today: date) -> str:
    """The text of a layout for a set of files like ``paths``.

    Raises DataError when nothing fits one of them, when two are of one file, or when one has no
    field that joins it.
    """
    patterns = [file_pattern(path.name, today=today) for path in paths]
    twice = next(
        (path for path, one in zip(paths, patterns, strict=True) if patterns.count(one) > 1), None
    )
    if twice is not None:
        raise DataError(
            f"{twice.name}: há outra amostra do mesmo arquivo: dê uma só de cada arquivo"
        )
    files = [_read(path, place, today) for place, path in enumerate(paths, start=1)]
    main = max(
        files, key=lambda one: (len({*REQUIRED, "valor"} & one.keys.keys()), -files.index(one))
    )
    lines = [
        *(line for line in main.text.splitlines()[:1] if line.startswith("#")),
        f"# Rascunho feito a partir de {', '.join(path.name for path in paths)}.",
        "# Confira cada comentário, e em cada arquivo a 'chave' que o liga ao principal.",
        'versao: "1"',
        *(line for line in main.text.splitlines() if line.startswith("vigencia:")),
        "formato: conjunto",
        "membros:",
    ]
    taken = {*main.keys}
    for one in [main, *(one for one in files if one is not main)]:
        lines += _member(one, main, files, taken)
    text = "\n".join(lines) + "\n"
    layout = parse_layout(yaml.safe_load(text), "rascunho")
    assert isinstance(layout, SetLayout)
    absent = missing([f"{{nome: {spec.name}" for spec in layout.fields])
    return "".join(f"{line}\n" for line in [*text.splitlines(), *absent])


def _read(path: Path, place: int, today: date) -> _File:
    text = draft(path, today=today)
    layout = parse_layout(yaml.safe_load(text), path.name)
    assert not isinstance(layout, SetLayout)
    batches = islice(read_file(layout, path, NameFacts()), _BATCHES)
    keys: dict[str, list[str]] = {}
    for batch in batches:
        for name, cells in batch.cells.items():
            values = loose(pa.array(cells, pa.string())).to_pylist()
            keys.setdefault(name, []).extend(one or "" for one in values)
    word = re.sub(r"[^a-z]+", "_", path.stem.lower()).strip("_")
    return _File(name=word or f"arquivo_{place}", text=text, keys=keys)


def _member(one: _File, main: _File, files: Sequence[_File], taken: set[str]) -> list[str]:
    same = sum(other.name == one.name for other in files[: files.index(one)])
    out = [f"  - nome: {one.name}{f'_{same + 1}' if same else ''}"]
    text = one.text
    key, many = "", False
    if one is main:
        out.append("    principal: sim")
    else:
        key, other = _joined(one, main, files)
        many = one.many(key)
        out.append(f"    chave: {key}")
        if other is not main:
            out.append(f"    liga_a: {other.name}")
        if many:
            out.append("    varios: sim")
            text = _renamed(text, "telefone_1", "telefone")
        for name in sorted(one.keys.keys() & taken - {key}):
            text = _renamed(text, name, f"{name}_{one.name}")
        taken |= one.keys.keys()
    out.append("    layout:")
    out += [f"      {line}" for line in text.splitlines() if not _OF_THE_SET.match(line)]
    return out


def _renamed(text: str, name: str, new: str) -> str:
    """A draft with another name for a field, which stays where it is in the file."""
    jsonl = "\nformato: jsonl\n" in text
    lines = []
    for line in text.splitlines():
        if line.startswith(f"  - {{nome: {name}, "):
            place = "" if _PLACED.search(line) else f", {'caminho' if jsonl else 'coluna'}: {name}"
            line = line.replace(f"nome: {name}", f"nome: {new}{place}", 1)
        lines.append(line)
    return "\n".join(lines)


def _joined(one: _File, main: _File, files: Sequence[_File]) -> tuple[str, _File]:
    """The field by which a file joins another, and which."""
    others = [main, *(other for other in files if other not in (one, main))]
    for other in others:
        both = one.keys.keys() & other.keys.keys()
        names = [*(name for name in _JOINING if name in both), *sorted(both - {*_JOINING})]
        for name in names:
            if one.matches(name, other) and (other is main or not other.many(name)):
                return name, other
    raise DataError(
        f"nenhum campo de '{one.name}' traz os valores de um campo de mesmo nome em outro arquivo: "
        f"ele não se liga a {', '.join(quoted(other.name) for other in others)}; rascunhe cada "
        "arquivo sozinho e escreva o conjunto como em config/convenios/LEIAME.md"
    )
