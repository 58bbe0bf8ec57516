"""Backups: each service's database as `pg_dump` writes it, put back whole or not at all; keys are never among them."""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from relais_local import databases, processes, programs
from relais_local.home import SERVICES, CannotRun, Home
from relais_local.postgres import Cluster
from relais_local.processes import Launch
from relais_shared.keys import write_private

Say = Callable[[str], None]

IN_ORDER = ("referral", "directory", "gateway")
"""What refers to others first: whatever it names is then in the backups of the others, which are younger."""
MANIFEST = "manifest.json"
UNFINISHED = ".part"
"""How a backup is called until it is whole."""
LONGEST = timedelta(days=1)
"""What is not whole after a day was left behind by a backup that was killed, or whose machine went down."""
_NAMED = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_READ_AT_ONCE = 1 << 20


async def backup(home: Home, folder: Path, now: datetime, *, keep_days: int, say: Say) -> Path:
    """Write a backup below a folder, then remove those older than `keep_days`; answers the new one.

    The services may run meanwhile: each database is taken as it stood at one moment.

    Raises:
        CannotRun: A database cannot be read, or the folder not be written; nothing half-made stays.
    """
    made = folder / f"{now:%Y%m%dT%H%M%SZ}"
    draft = made.with_suffix(UNFINISHED)
    _begin(folder, draft)
    try:
        async with _server(home) as admin_dsn:
            dumped = {service: await _dump(home, admin_dsn, service, draft, say) for service in IN_ORDER}
        write_private(draft / MANIFEST, json.dumps({"made_at": now.isoformat(), "databases": dumped}, indent=1))
        draft.rename(made)
    except OSError as fault:
        raise CannotRun(f"{folder} cannot be used: {fault.strerror}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for old in _older(folder, now - timedelta(days=keep_days)):
        shutil.rmtree(old)
        say(f"removed {old.name}: older than {keep_days} days")
    for left in _left_behind(folder, now - LONGEST):
        shutil.rmtree(left)
        say(f"removed {left.name}: nobody finished it")
    return made


def _begin(folder: Path, draft: Path) -> None:
    """Make the folder of one backup, and what it lies in.

    Raises:
        CannotRun: It cannot be made, or another backup began in the same second; that one's is left alone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
    except OSError as fault:
        if draft.is_dir():
            raise CannotRun(f"{draft} is there: another backup began in the same second. Try again.") from None
        raise CannotRun(f"{folder} cannot be used: {fault.strerror}.") from None


async def restore(home: Home, made: Path, *, replace: bool, say: Say) -> None:
    """Put a backup's databases in the place of an installation's, which does not run.

    Each is first restored beside the one that is there; only when all are whole do they change places.

    Raises:
        CannotRun: It is no whole backup, Relais runs, or there are data and `replace` was not said.
    """
    files = _checked(made)
    home.check_free()
    home.prepare()
    with home.lock():
        async with _server(home) as admin_dsn:
            ours = not os.environ.get("RELAIS_POSTGRES_ADMIN_DSN")
            await databases.provision(home, admin_dsn, ours=ours)
            admin = await asyncpg.connect(admin_dsn)
            try:
                if not replace:
                    await _refuse_data(admin_dsn)
                for service in IN_ORDER:
                    await _restore(home, admin, admin_dsn, service, files[service])
                    say(f"{service}: restored")
                await change_places(admin)
            finally:
                await admin.close()
    # What the last start had prepared was another database.
    (home.folder / "prepared.json").unlink(missing_ok=True)


@asynccontextmanager
async def _server(home: Home) -> AsyncIterator[str]:
    """Answer the administrator's DSN of the server that holds the databases, started for as long if it is ours."""
    elsewhere = os.environ.get("RELAIS_POSTGRES_ADMIN_DSN")
    if elsewhere:
        yield elsewhere
        return
    if databases.given() is not None:
        raise CannotRun(
            "The settings name databases but no administrator: set RELAIS_POSTGRES_ADMIN_DSN, "
            "or use the tools of the server that holds them."
        )
    owner, password = home.secret("relais_directory_owner_dsn"), home.secret("relais_postgres_password")
    if home.running() and owner and password:
        yield f"postgresql://postgres:{password}@{urlsplit(owner).netloc.rpartition('@')[2]}/postgres"
        return
    cluster = Cluster(home)
    try:
        await cluster.start()
        yield cluster.admin_dsn()
    finally:
        await cluster.stop()


async def _dump(home: Home, admin_dsn: str, service: str, folder: Path, say: Say) -> dict[str, object]:
    file = folder / f"{service}.dump"
    await _run(home, admin_dsn, f"relais_{service}", "pg_dump", "--format=custom", f"--file={file}")
    size = file.stat().st_size
    say(f"{service}: {size / 1e6:.1f} MB")
    return {"file": file.name, "bytes": size, "sha256": await asyncio.to_thread(_digest, file)}


async def _restore(home: Home, admin: asyncpg.Connection, admin_dsn: str, service: str, file: Path) -> None:
    beside = f"relais_{service}_restored"
    await admin.execute(f"DROP DATABASE IF EXISTS {beside}")
    await admin.execute(f"CREATE DATABASE {beside} OWNER relais_{service}_owner TEMPLATE template0 ENCODING 'UTF8'")
    await databases.close_to_others(admin, service, beside)
    await _run(home, admin_dsn, beside, "pg_restore", "--exit-on-error", f"--dbname={beside}", str(file))


async def change_places(admin: asyncpg.Connection) -> None:
    """Put every restored database in the place of the one that is there: all of them, or none."""
    names = [f"relais_{service}" for service in IN_ORDER]
    for name in names:
        await admin.execute(f"DROP DATABASE IF EXISTS {name}_replaced WITH (FORCE)")
    # A database to which somebody is connected keeps its name.
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = any($1)", names)
    async with admin.transaction():
        for name in names:
            await admin.execute(f"ALTER DATABASE {name} RENAME TO {name}_replaced")
            await admin.execute(f"ALTER DATABASE {name}_restored RENAME TO {name}")
    for name in names:
        await admin.execute(f"DROP DATABASE {name}_replaced WITH (FORCE)")


async def _refuse_data(admin_dsn: str) -> None:
    for service in SERVICES:
        there = await asyncpg.connect(urlsplit(admin_dsn)._replace(path=f"/relais_{service}").geturl())
        try:
            if await there.fetchval("SELECT to_regclass('public.alembic_version') IS NOT NULL"):
                raise CannotRun("There are data in this installation. Say --replace to put the backup in their place.")
        finally:
            await there.close()


async def _run(home: Home, admin_dsn: str, database: str, program: str, *words: str) -> None:
    """Run a program of PostgreSQL's on a database, its password in the environment alone."""
    where = urlsplit(admin_dsn)
    env = {
        "PGHOST": where.hostname or "",
        "PGPORT": str(where.port or 5432),
        "PGUSER": unquote(where.username or ""),
        "PGPASSWORD": unquote(where.password or ""),
        "PGDATABASE": database,
        "LC_ALL": "C",
    }
    path = programs.find(home.postgres / "data").bin / program
    with home.log("backup") as log:
        code = await processes.run(Launch([path, *words], env, log))
    if code != 0:
        said = " ".join(home.last_words("backup", 1))
        raise CannotRun(f"{program} of {database}: {processes.reason_of(code)}: {said}")


def _checked(made: Path) -> dict[str, Path]:
    """Answer the file of each service of a whole backup."""
    try:
        told = json.loads((made / MANIFEST).read_text())["databases"]
        files = {service: made / told[service]["file"] for service in IN_ORDER}
        whole = all(_digest(file) == told[service]["sha256"] for service, file in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        raise CannotRun(f"{made} is no backup: it is a folder that `relais backup` made.") from None
    if not whole:
        raise CannotRun(f"{made} is not as it was written: a file of it changed.")
    return files


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_READ_AT_ONCE):
            found.update(piece)
    return found.hexdigest()


def _older(folder: Path, limit: datetime) -> list[Path]:
    """Answer our backups of before an instant; what else lies there is not ours to remove."""
    ours = [one for one in folder.iterdir() if _NAMED.fullmatch(one.name) and (one / MANIFEST).is_file()]
    return [one for one in ours if _begun_at(one) < limit]


def _left_behind(folder: Path, limit: datetime) -> list[Path]:
    """Answer the halves of backups that were begun before an instant: they hold what is to be forgotten too."""
    halves = [one for one in folder.iterdir() if one.suffix == UNFINISHED and _NAMED.fullmatch(one.stem)]
    return [one for one in halves if _begun_at(one) < limit]


def _begun_at(made: Path) -> datetime:
    return datetime.strptime(made.stem, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
