"""A zip that holds one file, or a gzip: extracted with its size, name and kind checked."""

from __future__ import annotations

import errno
import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from zanc_pipeline.reception.problems import FileRejected

MAX_BYTES = 6 * 1024**3
MAX_RATIO = 200
RATIO_MATTERS_FROM = 32 * 1024**2


MAX_INDEX_BYTES = 1024 * 1024
"""Of a zip's own list of what is in it, 46 bytes a member and its name: some 15,000 of them."""


class _Archive(io.BufferedReader):
    """The file of a zip whose list is refused before it is read, when it is absurdly long.

    A member is an object of half a kilobyte once it is listed; nobody sends so many in good faith.
    What the archive says of their number binds nothing, so the list's size is what is limited.
    """

    listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes; FileRejected for too many before the list was read."""
        if not self.listed and size is not None and size > MAX_INDEX_BYTES:
            raise FileRejected(
                f"o zip traz milhares de arquivos (só a lista deles tem {size} bytes), o que não é "
                "normal: não foi aberto; confirme com o credor o que ele enviou"
            )
        return super().read(size)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, to read from; FileRejected when it proves damaged, then or now."""
    try:
        with _Archive(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            file.listed = True
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _damaged(error) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a wrong offset in the archive; others are the disk's
            raise
        raise _damaged(error) from None


def is_workbook(path: Path) -> bool:
    """Whether the file is a zip that holds a spreadsheet (xlsx, ods); FileRejected when damaged."""
    if not zipfile.is_zipfile(path):
        return False
    with opened(path) as archive:
        names = set(archive.namelist())
        return (
            bool({"xl/workbook.xml", "xl/workbook.bin"} & names)
            or {
                "content.xml",
                "mimetype",
            }
            <= names
        )


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does."""
    with path.open("rb") as file:
        return file.read(3) == b"\x1f\x8b\x08"


@contextmanager
def unzipped(path: Path) -> Iterator[Path]:
    """The only file in a zip, in a temporary folder that is removed afterwards.

    Raises FileRejected for anything else: no zip, several files, a password, a name with folders
    that leave the archive, a size out of proportion, a content that does not match its checksum.
    """
    with tempfile.TemporaryDirectory(prefix="zanc-zip-") as folder:
        with opened(path) as archive:
            member = _only_member(archive)
            check_sizes(archive)
            inner = Path(folder, "conteudo" + PurePosixPath(member.filename).suffix[:8])
            with archive.open(member) as source, inner.open("wb") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
        yield inner


@contextmanager
def ungzipped(path: Path) -> Iterator[Path]:
    """The content of a gzip file, in a temporary folder that is removed afterwards.

    Raises FileRejected for no gzip, one that was cut, and a size out of proportion: what it
    unpacks to is known only by unpacking, so it is stopped when it grows too much.
    """
    packed = path.stat().st_size
    with tempfile.TemporaryDirectory(prefix="zanc-gz-") as folder:
        inner, written = Path(folder, "conteudo"), 0
        try:
            with gzip.open(path) as source, inner.open("wb") as target:
                while piece := source.read(1024 * 1024):
                    written += len(piece)
                    if written > MAX_BYTES or (
                        written > RATIO_MATTERS_FROM and written > packed * MAX_RATIO
                    ):
                        raise FileRejected(
                            f"o gzip de {packed} bytes se abriria em mais de {written} bytes, o "
                            "que não é normal: não foi aberto; confirme com o credor o que ele "
                            "enviou"
                        )
                    target.write(piece)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise FileRejected(
                f"o gzip está estragado ou foi cortado ({error}): peça ao credor que o envie de "
                "novo"
            ) from None
        yield inner


def _damaged(error: Exception) -> FileRejected:
    return FileRejected(
        f"o zip está estragado ou foi cortado ({error}): peça ao credor que o envie de novo"
    )


def check_sizes(archive: zipfile.ZipFile) -> None:
    """Raise FileRejected when the members would unpack to too much.

    ``zipfile`` never gives more than the size that a member declares, so the declared sizes bound
    what is unpacked.
    """
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > MAX_BYTES or (unpacked > RATIO_MATTERS_FROM and unpacked > packed * MAX_RATIO):
        raise FileRejected(
            f"o zip de {packed} bytes se abriria em {unpacked} bytes, o que não é normal: não foi "
            "aberto; confirme com o credor o que ele enviou"
        )


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    # A damaged directory may hold an empty name, on which ``is_dir`` fails.
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        raise FileRejected(
            f"o zip devia trazer um arquivo só e traz {len(members)}: confirme com o credor"
        )
    member = members[0]
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in member.filename:
        raise FileRejected(
            "o nome do arquivo dentro do zip aponta para fora dele: não foi aberto; avise a "
            "segurança e confirme com o credor o que ele enviou"
        )
    if member.flag_bits & 1:
        raise FileRejected("o zip tem senha: peça ao credor que o envie sem senha")
    return member
