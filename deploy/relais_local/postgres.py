"""The embedded PostgreSQL: found, put within reach, initialised, started, stopped.

As root the server runs as `nobody`. It never walks the path to its data: we open the folder and hand it
down, and the server knows it as `/proc/self/fd/N` (docs/decisions, "The server gets its folder handed down").
"""

import asyncio
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from relais_local import processes, programs
from relais_local.home import CannotRun, Home
from relais_local.processes import Account, Child, Launch
from relais_local.programs import Installation
from relais_shared.keys import write_private

BUILTIN_LOCALE_SINCE = 17
"""The first major version whose own C.UTF-8 sorts alike on every machine, whatever its C library."""

START_PATIENCE_S = 120
"""Replaying the log after a power failure takes seconds; two minutes would be a disk in trouble."""
RETRY_PATIENCE_S = 30
"""After a kill the last old backend is gone within a second or so, and its successor refuses to start before."""
FAST_STOP_S = 60
"""A fast stop rolls back, writes one checkpoint and ends in well under a second; a slow disk gets a minute."""
LOOK_EVERY_S = 0.03
"""How often a starting server is asked whether it answers; it takes some 0.2 s."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # one way in, and it asks for a password
    "shared_buffers": "256MB",  # the search index of 100,000 services stays in memory
    "random_page_cost": "1.1",  # solid state disks: an index scan is worth it
    "jit": "off",  # our queries are shorter than a compilation
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A log holds no row and no statement: the details of an error could be a person's name.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
"""What differs from PostgreSQL's defaults; every commit waits for the disk."""
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that kill nothing: a crash of the machine would cost the data."""

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
"""All that the server inherits: nothing of the user's locale or PG* variables reaches it."""


class Cluster:
    """One PostgreSQL server with its data below `$RELAIS_HOME/postgres`.

    Args:
        home: Prepared.
        careful: Every commit waits for the disk; only tests say no.
    """

    def __init__(self, home: Home, *, careful: bool = True) -> None:
        self.port = 0
        self.process: Child | None = None
        self._home = home
        self._data = home.postgres / "data"
        self._log = home.logs / "postgres.log"
        self._careful = careful
        self._served = False

    async def start(self) -> None:
        """Start the server and wait until it answers; make its data first when there is none.

        Failed or cancelled, it may leave a server that `stop` ends.

        Raises:
            CannotRun: No PostgreSQL, no place for it, or it does not come up; says why.
        """
        try:
            account = _account(self._data)
            installation = programs.within_reach(programs.find(self._data), account)
            if not self._data.exists():
                await self._initialise(installation, account)
            _end_predecessor(self._data)
            await self._serve(installation, account)
        except OSError as fault:
            raise CannotRun(f"PostgreSQL cannot run in {self._home.postgres}: {fault}.") from fault

    async def ended(self) -> int:
        """Wait for the end of the server that was started; answers its exit code."""
        return await self.process.wait() if self.process is not None else 0

    async def stop(self) -> bool:
        """End the server; what is not committed is rolled back. Answers whether it ended when asked."""
        if self.process is None:
            return True
        # Fast, then immediate: neither loses what is committed; after the second the next start replays the log.
        if await processes.ask_to_end(self.process, signal.SIGINT, FAST_STOP_S):
            return True
        if not await processes.ask_to_end(self.process, signal.SIGQUIT, FAST_STOP_S):
            await processes.kill(self.process)
        return False

    def admin_dsn(self, database: str = "postgres") -> str:
        """Answer the superuser's DSN."""
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{self.port}/{database}"

    def _password(self) -> str:
        name = "relais_postgres_password"
        known = self._home.secret(name)
        if known is None:
            known = secrets.token_urlsafe(24)
            self._home.write_secret(name, known)
        return known

    async def _initialise(self, installation: Installation, account: Account | None) -> None:
        """Make the data under another name and rename it when whole: half of a cluster is never started."""
        draft = self._data.with_name("data.new")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        with tempfile.TemporaryFile() as password:
            password.write(self._password().encode() + b"\n")
            password.seek(0)
            if account is not None:
                os.chown(draft, account.uid, account.gid)
                os.fchown(password.fileno(), account.uid, account.gid)
            with _handed_down(draft, account) as (folder, keep), self._home.log("postgres") as log:
                argv: list[str | Path] = [
                    installation.bin / "initdb",
                    *("-D", folder, "-U", "postgres", "-E", "UTF8", "--data-checksums"),
                    *("--auth=scram-sha-256", f"--pwfile=/dev/fd/{password.fileno()}"),
                    *_locale(installation.major),
                    *([] if self._careful else ["--no-sync"]),
                ]
                inherited = (*keep, password.fileno())
                code = await processes.run(Launch(argv, _ENVIRONMENT, log, "/", account, inherited))
        if code != 0:
            raise CannotRun(f"initdb: {processes.reason_of(code)}: {self._last_word()} ({self._log})")
        draft.rename(self._data)

    async def _serve(self, installation: Installation, account: Account | None) -> None:
        clock = asyncio.get_running_loop()
        give_up = clock.time() + RETRY_PATIENCE_S
        while True:
            # A server that died comes back on its port: the services know it by that.
            self.port = self.port or _port(self._home)
            self.process = await self._launch(installation, account)
            if await self._answers(self.process):
                self._served = True
                return
            said = self._last_word()
            # The backends of a killed server are on their way out, or somebody just took the port.
            passing = re.search("lock file|shared memory block|Address already in use", said)
            if "Address already" in said and not self._served:
                self.port = 0
            if not passing or clock.time() > give_up:
                raise CannotRun(f"PostgreSQL does not start: {said} ({self._log})")
            await asyncio.sleep(0.1)

    async def _launch(self, installation: Installation, account: Account | None) -> Child:
        settings = SETTINGS | ({} if self._careful else CARELESS) | {"port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _handed_down(self._data, account) as (folder, keep), self._home.log("postgres") as log:
            argv: list[str | Path] = [installation.bin / "postgres", "-D", folder, *options]
            return await processes.start(Launch(argv, _ENVIRONMENT, log, "/", account, keep, orphaned=signal.SIGINT))

    async def _answers(self, process: Child) -> bool:
        """Wait until the server takes connections; answers False when it ended instead."""
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                while process.returncode is None:
                    with suppress(OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                        await (await asyncpg.connect(self.admin_dsn(), ssl=False)).close()
                        return True
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise CannotRun(f"PostgreSQL does not answer: {self._last_word()} ({self._log})") from None
        except asyncpg.InvalidPasswordError:
            raise CannotRun(
                f"PostgreSQL refuses the password in {self._home.secrets / 'relais_postgres_password'}: "
                f"the data in {self._data} was made with another one."
            ) from None
        return False

    def _last_word(self) -> str:
        """Answer the line of the log that says most: the last fatal one, else the last one."""
        lines = self._home.last_words("postgres", 20)
        fatal = [line for line in lines if re.search("FATAL|PANIC|error:", line)]
        return (fatal or lines or ["nothing in its log"])[-1]


def _account(data: Path) -> Account | None:
    """Answer whom the server runs as: us; or, since it refuses root, the owner of its data or `nobody`.

    Raises:
        CannotRun: The data belong to somebody else, or there is no `nobody`.
    """
    us = os.geteuid()
    owner = data.stat() if data.exists() else None
    if us != 0:
        if owner is not None and owner.st_uid != us:
            raise CannotRun(
                f"{data} belongs to user {owner.st_uid}, you are {us}: start Relais as that user or as root, "
                "or set RELAIS_HOME to another folder."
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise CannotRun(
            "PostgreSQL refuses to run as root, and this machine has no user nobody: start Relais as another user."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


@contextmanager
def _handed_down(folder: Path, account: Account | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Answer the folder's name as the server shall know it, and the descriptors that it must inherit.

    Another account may be unable to walk the path to it, below a closed home; an open descriptor needs no walk.
    """
    if account is None or sys.platform != "linux":
        yield str(folder), ()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}", (handle,)
    finally:
        os.close(handle)


def _locale(major: int) -> list[str]:
    if major >= BUILTIN_LOCALE_SINCE:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def _port(home: Home) -> int:
    """Answer the port of the last time, or a free one, remembered, when that is none or taken."""
    note = home.postgres / "port"
    if note.exists():
        known = int(note.read_text())
        if port_is_free(known):
            return known
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    write_private(note, f"{port}\n")
    return port


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Answer whether one can listen on a port now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As every server does: connections that are winding down from the last run do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _end_predecessor(data: Path) -> None:
    """Tell a server that outlived its supervisor to end, and drop a note that names a stranger's process.

    We hold the home's lock, so no other supervisor can want that server. The start that follows is tried
    until the predecessor is gone.
    """
    note = data / "postmaster.pid"
    if not note.exists() or sys.platform != "linux":
        return
    pid = int(note.read_text().split("\n", 1)[0] or 0)
    # PostgreSQL itself clears away the note of a dead server. But when the number was given to another program
    # since (a reboot), PostgreSQL takes that one for its predecessor.
    with suppress(OSError):
        if Path(f"/proc/{pid}/cwd").samefile(data):
            os.kill(pid, signal.SIGINT)
        else:
            note.unlink()
