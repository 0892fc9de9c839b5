"""Debian packages unpacked in a folder of ours, without root and without installing them.

The mirror is whatever the machine's own apt uses: its address is read at run time and is never
written to a file that outlives the download.  apt does the closure and the signature check with a
private state, ``dpkg -x`` unpacks.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zanc_pipeline.common.errors import StackError

Progress = Callable[[str], None]

_RETRY_SECONDS = 2.0
MARKER = ".zanc-complete.json"
APT_FOLDER = Path("/etc/apt")
KEYRING_FOLDERS = (Path("/usr/share/keyrings"), Path("/etc/apt/trusted.gpg.d"))

_SUITE_WORDS = frozenset(
    {
        *("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"),
        *("bullseye", "bookworm", "trixie", "forky", "duke"),
    }
)
_KEY_BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True, kw_only=True)
class AptSource:
    """One ``deb`` entry of the machine's apt sources."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    """Keyring paths separated by blanks or commas, or an inline key block, or empty."""
    options: tuple[str, ...] = ()
    """Other options in one-line style, e.g. ``check-valid-until=no``."""


def parse_one_line(text: str) -> list[AptSource]:
    """The binary entries of a one-line-style ``.list`` file."""
    sources = []
    pattern = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)$")
    for line in text.splitlines():
        match = pattern.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        words = match["rest"].split()
        if len(words) < 3:
            continue
        signed_by, others = "", []
        for option in (match["options"] or "").split():
            key, _, value = option.partition("=")
            if key.lower() == "signed-by":
                signed_by = value
            elif key.lower() not in {"arch", "target", "lang"}:
                others.append(option)
        sources.append(
            AptSource(
                uri=words[0],
                suite=words[1],
                components=tuple(words[2:]),
                signed_by=signed_by,
                options=tuple(others),
            )
        )
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """The enabled binary entries of a deb822-style ``.sources`` file, one per URI and suite."""
    sources = []
    for stanza in _stanzas(text):
        if stanza.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        if "deb" not in stanza.get("types", "").split():
            continue
        options = tuple(
            f"{key}={stanza[key]}"
            for key in ("check-valid-until", "trusted", "check-date")
            if key in stanza
        )
        sources += [
            AptSource(
                uri=uri,
                suite=suite,
                components=tuple(stanza.get("components", "").split()),
                signed_by=stanza.get("signed-by", ""),
                options=options,
            )
            for uri in stanza.get("uris", "").split()
            for suite in stanza.get("suites", "").split()
        ]
    return sources


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    stanza: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield stanza
            stanza, key = {}, ""
        elif line[0] in " \t" and key:
            # In an inline key a lone dot stands for an empty line.
            content = line.strip()
            stanza[key] = f"{stanza[key]}\n{'' if content == '.' else content}".lstrip("\n")
        elif ":" in line:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            stanza[key] = value.strip()


def machine_sources(apt_folder: Path = APT_FOLDER) -> list[AptSource]:
    """Every readable binary entry of the machine's apt sources."""
    files = [apt_folder / "sources.list"]
    parts = apt_folder / "sources.list.d"
    if parts.is_dir():
        files += sorted(parts.glob("*.list")) + sorted(parts.glob("*.sources"))
    sources: list[AptSource] = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        sources += parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text)
    return sources


def debian_archive(sources: Sequence[AptSource]) -> AptSource:
    """The entry that is Debian's main archive (not its security or a third party's archive).

    Raises StackError if the machine has none.
    """

    def score(source: AptSource) -> int:
        if "main" not in source.components or source.suite.strip("/") not in _SUITE_WORDS:
            return 0
        if source.uri.startswith("cdrom:"):
            return 0
        address = source.uri.lower().rstrip("/")
        if address.endswith("-security"):
            return 0
        points = 1
        points += 4 * ("debian-archive" in source.signed_by)
        points += 2 * (address.endswith("/debian") or "/debian/" in address)
        points += "debian" in address
        return points

    best = max(sources, key=score, default=None)
    if best is None or score(best) == 0:
        raise StackError(
            "no Debian archive among this machine's apt sources (/etc/apt): Asterisk and the "
            "speech voices come from there; add a Debian 'main' source, or use an external "
            "Asterisk by setting its address"
        )
    return best


def machine_suite() -> str:
    """The Debian suite that the machine itself uses, e.g. ``bookworm``."""
    return debian_archive(machine_sources()).suite


def is_complete(root: Path, packages: Sequence[str], suite: str) -> bool:
    """Whether ``fetch`` of the same packages and suite already ended well under ``root``."""
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(marker, dict)
        and marker.get("suite") == suite
        and set(packages) <= set(marker.get("requested", ()))
    )


def fetch(
    packages: Sequence[str],
    suite: str,
    root: Path,
    *,
    progress: Progress = lambda _line: None,
    attempts: int = 3,
    timeout_seconds: float = 300.0,
) -> Path:
    """Unpack ``packages`` and all they depend on, from Debian ``suite``, under ``root``.

    Returns ``root``.  A finished folder is left as it is; an interrupted one is redone, because the
    work is done beside it and renamed at the end.  Two callers at once do the work once.
    Raises StackError, naming the suite and the remedy, when the mirror can't give the packages.
    """
    if is_complete(root, packages, suite):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with _locked(root.parent / f".{root.name}.lock", timeout_seconds * attempts):
        if is_complete(root, packages, suite):
            return root
        for stale in root.parent.glob(f".{root.name}.partial-*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{root.name}.partial-", dir=root.parent))
        try:
            archives = _download(packages, suite, work / "apt", progress, attempts, timeout_seconds)
            progress(f"Debian {suite}: unpacking {len(archives)} packages")
            tree = work / "tree"
            _unpack(archives, tree, timeout_seconds)
            marker = {
                "suite": suite,
                "requested": sorted(packages),
                "packages": sorted(archive.name for archive in archives),
            }
            (tree / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
            if root.exists():
                root.replace(work / "old")
            tree.replace(root)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    progress(f"Debian {suite}: {', '.join(packages)} ready")
    return root


def relocated(root: Path, program: str) -> list[str]:
    """The command that runs ``program`` (relative to ``root``) with the libraries under ``root``.

    Raises StackError when ``root`` holds no unpacked Debian.
    """
    libraries = sorted(
        {
            folder
            # pulseaudio keeps a library of its own in a folder of its own.
            for pattern in ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "usr/lib/*/pulseaudio")
            for folder in root.glob(pattern)
            if folder.is_dir()
        }
    )
    for folder in libraries:
        for loader in sorted(folder.glob("ld-linux*.so.*")):
            path = ":".join(str(part) for part in [*libraries, root / "usr" / "lib"])
            return [str(loader), "--library-path", path, str(root / program)]
    raise StackError(f"nothing is installed under {root}; run the installation again")


@contextmanager
def _locked(path: Path, timeout_seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_seconds
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"another process has been fetching {path.name[1:-5]} for "
                        f"{timeout_seconds:.0f} s; wait for it or stop it, then try again"
                    ) from None
                time.sleep(0.2)
        yield


def _download(
    packages: Sequence[str],
    suite: str,
    folder: Path,
    progress: Progress,
    attempts: int,
    timeout_seconds: float,
) -> list[Path]:
    source = debian_archive(machine_sources())
    config = _private_apt(folder, source, suite)
    deadline = time.monotonic() + timeout_seconds
    trouble = ""
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            progress(f"Debian {suite}: download failed, trying again ({attempt} of {attempts})")
            time.sleep(_RETRY_SECONDS)
        progress(f"Debian {suite}: downloading {', '.join(packages)} and what they need")
        trouble = ""
        for arguments in (
            ["update", "--error-on=any"],
            ["install", "--download-only", "--yes", *packages],
        ):
            remaining = deadline - time.monotonic()
            trouble = _run(["apt-get", "-c", str(config), "-q", *arguments], remaining)
            if trouble:
                break
        archives = sorted((folder / "cache" / "archives").glob("*.deb"))
        if not trouble and archives:
            return archives
        if time.monotonic() >= deadline:
            break
    raise StackError(
        f"Debian suite {suite} could not be downloaded from this machine's Debian mirror "
        f"({_masked(trouble) or 'apt downloaded nothing'}); check with 'apt-get update' that the "
        f"mirror is reachable and carries {suite}, then run the same command again"
    )


def _private_apt(folder: Path, source: AptSource, suite: str) -> Path:
    """Write an apt configuration that reads and writes nothing of the machine's own state."""
    for part in ("state/lists/partial", "cache/archives/partial", "etc", "log"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()
    options = [*source.options, f"signed-by={','.join(_keyrings(source, folder / 'etc'))}"]
    sources_list = folder / "etc" / "sources.list"
    sources_list.write_text(f"deb [{' '.join(options)}] {source.uri} {suite} main\n")
    # The address may hold a password.
    sources_list.chmod(0o600)
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()
    lines = [
        # Hooks and foreign architectures of the machine have no business here.
        "#clear APT::Update;",
        "#clear DPkg::Pre-Invoke;",
        "#clear DPkg::Post-Invoke;",
        "#clear DPkg::Pre-Install-Pkgs;",
        "#clear APT::Architectures;",
        "#clear APT::Default-Release;",
        f'APT::Architectures {{ "{architecture}"; }};',
        f'Dir::State "{folder}/state/";',
        f'Dir::State::lists "{folder}/state/lists/";',
        f'Dir::State::status "{folder}/state/status";',
        f'Dir::Cache "{folder}/cache/";',
        f'Dir::Cache::archives "{folder}/cache/archives/";',
        f'Dir::Log "{folder}/log/";',
        f'Dir::Etc::sourcelist "{sources_list}";',
        'Dir::Etc::sourceparts "/dev/null";',
        'Dir::Etc::preferences "/dev/null";',
        'Dir::Etc::preferencesparts "/dev/null";',
        'APT::Install-Recommends "false";',
        'APT::Install-Suggests "false";',
        'APT::Keep-Downloaded-Packages "true";',
        'Acquire::Languages "none";',
        'Acquire::Retries "2";',
        'Acquire::http::Timeout "20";',
        'Acquire::https::Timeout "20";',
    ]
    if os.geteuid() == 0:
        # As root apt would drop to _apt, who may not be able to enter our folder.
        lines.append(f'APT::Sandbox::User "{pwd.getpwuid(0).pw_name}";')
    config = folder / "etc" / "apt.conf"
    config.write_text("\n".join(lines) + "\n")
    return config


def _keyrings(source: AptSource, folder: Path) -> list[str]:
    """Keyring files to verify the suite with: the source's own, then Debian's on this machine."""
    found: list[str] = []
    if _KEY_BLOCK in source.signed_by:
        inline = folder / "inline.asc"
        inline.write_text(source.signed_by + "\n")
        found.append(str(inline))
    else:
        named = re.split(r"[\s,]+", source.signed_by)
        found += [name for name in named if name.startswith("/") and os.access(name, os.R_OK)]
    # A suite of another year is signed by another year's key.
    for place in KEYRING_FOLDERS:
        found += [
            str(path)
            for path in sorted(place.glob("debian-archive-*"))
            if path.suffix in {".gpg", ".asc", ".pgp"} and "removed" not in path.name
        ]
    if not found:
        raise StackError(
            "no Debian archive keyring on this machine, so packages can't be verified; "
            "install the package debian-archive-keyring"
        )
    return list(dict.fromkeys(found))


def _unpack(archives: Sequence[Path], tree: Path, timeout_seconds: float) -> None:
    tree.mkdir()
    deadline = time.monotonic() + timeout_seconds
    for archive in archives:
        trouble = _run(["dpkg", "-x", str(archive), str(tree)], deadline - time.monotonic())
        if trouble:
            raise StackError(
                f"package {archive.name} could not be unpacked ({trouble}); "
                "check the free disk space and run the same command again"
            )
        archive.unlink()
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                mode = path.stat().st_mode
                # Unpacked by root, su and its like would be working set-user-id programs.
                if mode & 0o6000:
                    path.chmod(mode & 0o777)


def _run(
    command: Sequence[str], timeout_seconds: float, env: Mapping[str, str] | None = None
) -> str:
    """Run a command; return "" if it ended well, else its last words in one line."""
    if timeout_seconds <= 0:
        return "out of time"
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except BaseException as error:
        # apt's download helpers are in its process group and would outlive it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"no end after {timeout_seconds:.0f} s"
        raise
    if process.returncode == 0:
        return ""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg"))] or lines[-1:]
    return "; ".join(errors[:2])[:300] or f"exit status {process.returncode}"


def _masked(text: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://***@", text)
