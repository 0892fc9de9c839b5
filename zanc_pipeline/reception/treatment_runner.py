"""The process in which a clerk's treatment runs: alone, limited, without network or secrets.

Started as ``python -I -B treatment_runner.py`` in an empty folder that holds ``request.json`` and
Arrow files of text columns; leaves ``answer.json`` and a treated Arrow file for each. It imports
nothing of ours: no other code may be reachable from a treatment.

What holds it, from the kernel upwards: resource limits; a network namespace of its own where the
machine allows one; Landlock (Linux 5.13 and later), by which only Python's own files and the
convênio's folder can be read and only the working folder written; and an audit hook that refuses
sockets, programs and foreign files with a sentence that the clerk understands.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

LINE = "linha"
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
_NO_NEW_PRIVILEGES = 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute, read file, read folder
_FILE_READ = 1 << 2
_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "ctypes.dlopen",
)


class _Refused(Exception):
    """The treatment gave back something that can not be believed; the message is Portuguese."""


def main() -> None:
    """Treat every file of the request; what goes wrong is in ``answer.json``."""
    here = Path.cwd()
    request = json.loads((here / "request.json").read_text(encoding="utf-8"))
    _limit(request)
    isolated = _leave_network()
    import pandas  # noqa: F401 - everything heavy is loaded before the doors close
    import pyarrow  # noqa: F401

    source = Path(request["source"])
    code = source.read_text(encoding="utf-8")
    readable = [sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", str(source.parent)]
    confined = _confine(readable, ["/dev/null", "/dev/urandom", "/etc/localtime"], here)
    _refuse_by_hook([*readable, "/dev/null", "/dev/urandom", "/etc/localtime", "/proc/self"], here)
    answer: dict[str, Any] = {"network": isolated, "confined": confined}
    try:
        treat = _load(code, str(source))
        for name in request["files"]:
            _treat(treat, here / name, here / f"treated-{name}")
    except BaseException as error:  # SystemExit too: a treatment may call anything
        answer["error"] = describe(error, str(source))
    (here / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _limit(request: dict[str, Any]) -> None:
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)
    seconds, size = int(request["cpu_seconds"]), int(request["memory_bytes"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _leave_network() -> bool:
    """A network namespace with no way out, where the kernel lets this user have one."""
    libc = ctypes.CDLL(None, use_errno=True)
    return any(
        libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWNET | _CLONE_NEWUSER)
    )


def _confine(folders: list[str], files: list[str], work: Path) -> bool:
    """Landlock; False where the kernel lacks it."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << {1: 13, 2: 14}.get(version, 15)) - 1
    attributes = struct.pack("=QQ", rights, 3) if version >= 4 else struct.pack("=Q", rights)
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    allowed = [(name, _READ) for name in folders] + [(name, _FILE_READ) for name in files]
    for name, access in [*allowed, (str(work), rights)]:
        try:
            handle = os.open(name, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, handle), 0)
        os.close(handle)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)


def _refuse_by_hook(readable: list[str], work: Path) -> None:
    inside = tuple(f"{os.path.realpath(name)}" for name in (*readable, str(work)))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_FORBIDDEN):
            raise PermissionError(
                "um tratamento não usa a rede, não abre programas e não mexe em arquivos: ele só "
                "recebe e devolve a tabela"
            )
        if event == "open" and isinstance(arguments[0], str | bytes):
            name = os.path.realpath(os.fsdecode(arguments[0]))
            if not any(name == one or name.startswith(f"{one}/") for one in inside):
                raise PermissionError(
                    f"um tratamento só lê arquivos da pasta do convênio; não pode abrir '{name}'"
                )

    sys.addaudithook(hook)


def _load(code: str, name: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "tratamento", "__file__": name}
    exec(compile(code, name, "exec", dont_inherit=True), namespace)  # noqa: S102 - its very purpose
    treat = namespace.get("tratar")
    if not callable(treat):
        raise _Refused("falta a função 'def tratar(df):', que recebe e devolve a tabela")
    return treat


def _treat(treat: Any, source: Path, target: Path) -> None:
    import pandas as pd
    import pyarrow as pa

    with pa.OSFile(str(source)) as file:
        table = pa.ipc.open_file(file).read_all()
    names = [name for name in table.column_names if name != LINE]
    frame = table.to_pandas()
    frame.index = pd.Index(frame.pop(LINE), name=LINE)
    known = frozenset(frame.index)
    result = treat(frame)
    lines = _lines(result, known)
    columns = {LINE: pa.array(lines, type=pa.int64())}
    for name in names:
        columns[name] = _texts(result, name)
    treated = pa.table(columns)
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, treated.schema) as writer:
        writer.write_table(treated)


def _lines(result: Any, known: frozenset[int]) -> list[int]:
    import pandas as pd

    if result is None:
        raise _Refused("a função 'tratar' não devolveu nada: termine-a com 'return df'")
    if not isinstance(result, pd.DataFrame):
        raise _Refused(
            f"a função 'tratar' devolveu {type(result).__name__} e não a tabela: termine-a com "
            "'return df'"
        )
    if result.index.name == LINE:
        lines = list(result.index)
    elif LINE in result.columns:
        lines = list(result[LINE])
    else:
        raise _Refused(
            "a tabela devolvida perdeu o número das linhas, e sem ele não se sabe de onde veio "
            "cada valor: use df.reset_index() antes de 'merge' ou 'groupby' e não use "
            "reset_index(drop=True) nem ignore_index=True"
        )
    foreign = [line for line in lines if line not in known]
    if foreign:
        raise _Refused(
            f"a tabela devolvida tem linhas que não estavam no arquivo ({foreign[0]}): um "
            "tratamento não inventa linhas"
        )
    if len(set(lines)) < len(lines):
        twice = next(line for line in lines if lines.count(line) > 1)
        raise _Refused(
            f"a linha {twice} virou mais de uma (por 'merge', 'explode' ou 'concat'): cada linha "
            "do arquivo continua uma só, ou não se saberia qual corrigir"
        )
    return [int(line) for line in lines]


def _texts(result: Any, name: str) -> Any:
    import pandas as pd
    import pyarrow as pa

    if name not in result.columns:
        raise _Refused(
            f"a coluna '{name}' sumiu da tabela devolvida: um tratamento mantém todas as colunas"
        )
    column = result[name]
    if isinstance(column, pd.DataFrame):
        raise _Refused(f"a tabela devolvida tem duas colunas '{name}'")
    try:
        if not (pd.api.types.is_string_dtype(column) or pd.api.types.is_object_dtype(column)):
            raise TypeError
        return pa.array(column.array, type=pa.string(), from_pandas=True).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        raise _Refused(
            f"a coluna '{name}' deixou de ser texto: antes de devolver a tabela, transforme-a de "
            "volta em texto, escrito como no arquivo do credor"
        ) from None


def describe(error: BaseException, source: str) -> dict[str, Any]:
    """What went wrong: the kind of error, its text, and the line of the treatment."""
    if isinstance(error, _Refused):
        return {"kind": "refused", "text": str(error), "line": None}
    if isinstance(error, SyntaxError):
        return {"kind": "SyntaxError", "text": str(error.msg), "line": error.lineno}
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == source
    ]
    return {
        "kind": type(error).__name__,
        "text": str(error)[:500],
        "line": lines[-1] if lines else None,
    }


if __name__ == "__main__":
    main()
