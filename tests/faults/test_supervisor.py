"""`relais up`: what it refuses, what it brings back, and that nothing outlives it.

The database and the processes are real. The services are stand-ins of a few lines, found before the real ones:
what they serve is beside the point here, and they can be told to die.
"""

import asyncio
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

import asyncpg
import pytest
from support import children
from support.local import interpreter_for, open_folder, running
from support.stack import free_ports

from relais_local.home import SERVICES, Home

PATIENCE_S = 240
"""A stack that lives longer than this has failed its test; all of one takes some seconds, a minute if all is busy."""

STAND_IN = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

NAME = "NAME_OF_SERVICE"
if sys.argv[1] == "work":
    signal.signal(signal.SIGTERM, lambda *_: (print("worker ends", flush=True), os._exit(0)))
    print("worker", os.getpid(), flush=True)
    while True:
        signal.pause()
if sys.argv[1] != "serve":
    print(" ".join(sys.argv[1:]))
    if sys.argv[1] == os.environ.get("STAND_IN_HANGS_IN"):
        signal.pause()
    if sys.argv[1] == "migrate" and "STAND_IN_HAS_NO_SCHEMA" not in os.environ:
        import asyncio, asyncpg, pathlib

        async def migrate():
            home = pathlib.Path(os.environ["RELAIS_HOME"])
            owner = await asyncpg.connect((home / "secrets" / f"relais_{NAME}_owner_dsn").read_text().strip())
            await owner.execute("DROP TABLE IF EXISTS alembic_version")
            await owner.execute("CREATE TABLE alembic_version AS SELECT '1' AS version_num")
            await owner.close()

        asyncio.run(migrate())
    sys.exit("it cannot be" if sys.argv[1] == os.environ.get("STAND_IN_FAILS_IN") else 0)
if NAME == os.environ.get("STAND_IN_CRASHES"):
    sys.exit("no such luck")

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        settings = {name: value for name, value in os.environ.items() if name.startswith("RELAIS_")}
        self.wfile.write(json.dumps({"pid": os.getpid(), "settings": settings}).encode())

    def log_message(self, *_):
        pass

deaf = NAME == os.environ.get("STAND_IN_IS_DEAF")
signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else lambda *_: sys.exit(0))
HTTPServer(("127.0.0.1", int(os.environ[f"RELAIS_{NAME.upper()}_PORT"])), Answers).serve_forever()
"""


class Up:
    """A running `relais up`: its lines, its signals, its processes."""

    def __init__(self, argv: list[str], env: dict[str, str], **options: object) -> None:
        self.home = Home(Path(env["RELAIS_HOME"]))
        self.lines: list[str] = []
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = children.start(argv, orphaned=signal.SIGTERM, env=env, **pipes, **options)
        # Ends a test that would wait for ever; no test depends on when.
        self._watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        self._watchdog.start()

    def until(self, pattern: str) -> str:
        """Read its output to the first line that matches."""
        assert self.process.stdout is not None
        line: str
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if re.search(pattern, line):
                return line
        raise AssertionError(f"it never said {pattern!r}:\n" + "\n".join(self.lines))

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """Send it a signal, wait for its end, answer its exit code."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        code: int = self.process.wait(PATIENCE_S)
        self._watchdog.cancel()
        self.process.stdout.close()
        return code

    @property
    def output(self) -> str:
        """Answer all that it said so far."""
        return "\n".join(self.lines)

    def port(self, service: str) -> int:
        """Answer where a service listens."""
        ports: dict[str, int] = json.loads((self.home.folder / "stack.json").read_text())["ports"]
        return ports[service]

    def ask(self, service: str) -> tuple[int, dict[str, str]]:
        """Answer the process of a stand-in, and the settings that it sees."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(service)}/readyz") as answer:
            said = json.loads(answer.read())
        return said["pid"], said["settings"]

    def database(self, query: str) -> object:
        """Answer the one value of a query, as the superuser of its PostgreSQL."""

        async def ask() -> object:
            port = (self.home.postgres / "port").read_text().strip()
            password = self.home.secret("relais_postgres_password")
            connection = await asyncpg.connect(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres")
            try:
                return await connection.fetchval(query)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def worker(self, besides: int = 0) -> int:
        """Answer the process of the referral app's stand-in worker, once there is one besides a former one."""
        log = self.home.logs / "referral-work.log"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = [
                int(pid) for pid in re.findall(r"^worker (\d+)$", log.read_text() if log.exists() else "", re.MULTILINE)
            ]
            if found and found[-1] != besides:
                return found[-1]
            time.sleep(0.05)
        raise AssertionError("there is no worker:\n" + self.output)

    def postmaster(self) -> int:
        """Answer the process of its PostgreSQL."""
        return int((self.home.postgres / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def children(self) -> list[int]:
        """Answer the processes that it is the parent of."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def title(self, pid: int) -> str:
        """Answer how `ps` shows a process."""
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip().decode()

    def descendants(self) -> "Descendants":
        """Answer every process that it started, directly or not, as they are now."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
        found: list[int] = []
        look = [self.process.pid]
        while look:
            new = children.get(look.pop(), [])
            found += new
            look += new
        return Descendants(found)


class Descendants:
    """Processes held by descriptors, so that a number given anew is not taken for one of them."""

    def __init__(self, pids: list[int]) -> None:
        self.handles: list[int] = []
        for pid in pids:
            with suppress(ProcessLookupError):
                self.handles.append(os.pidfd_open(pid))

    def __del__(self) -> None:
        for handle in self.handles:
            os.close(handle)

    def alive(self, patience_s: float = 0) -> int:
        """Answer how many have not ended, after waiting for their ends at most so long."""
        poll = select.poll()
        for handle in self.handles:
            poll.register(handle, select.POLLIN)
        left = set(self.handles)
        while left and (ended := poll.poll(patience_s * 1000)):
            for handle, _ in ended:
                poll.unregister(handle)
                left.discard(handle)
        return len(left)


Start = Callable[..., Up]


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """Answer a folder of packages that are found before the real services."""
    for service in SERVICES:
        package = tmp_path / "stand-ins" / f"relais_{service}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "cli.py").touch()
        (package / "__main__.py").write_text(STAND_IN.replace("NAME_OF_SERVICE", service))
    return tmp_path / "stand-ins"


def settings_for(home: Path, stand_ins: Path) -> dict[str, str]:
    """Answer the environment of a stack on free ports."""
    names = ["RELAIS_GATEWAY_PORT", "RELAIS_DIRECTORY_PORT", "RELAIS_REFERRAL_PORT", "RELAIS_GATEWAY_OTLP_PORT"]
    ports = map(str, free_ports(4))
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    path = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(stand_ins), *inherited])}
    return {**path, "RELAIS_HOME": str(home), **dict(zip(names, ports, strict=True))}


@pytest.fixture
def start(tmp_path: Path, stand_ins: Path) -> Iterator[Start]:
    """Answer a function that starts a stack on a home that others cannot reach, with settings of one's own."""
    started: list[Up] = []
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    common = settings_for(closed / "var", stand_ins)

    def begin(**settings: str) -> Up:
        up = Up([sys.executable, "-m", "relais_local", "up", "--no-demo"], common | settings)
        started.append(up)
        return up

    yield begin
    for up in started:
        if up.process.poll() is None:
            up.end()


@pytest.mark.parametrize("name", ["GATEWAY", "DIRECTORY", "REFERRAL", "GATEWAY_OTLP"])
def test_a_taken_port_is_named_and_nothing_starts(start: Start, name: str) -> None:
    """One line tells the port and the setting that moves it; no folder is made."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = start(**{f"RELAIS_{name}_PORT": str(port)})
        assert up.end(None) == 1

    [line] = up.lines
    assert str(port) in line
    assert f"RELAIS_{name}_PORT" in line
    assert not up.home.folder.exists()


@pytest.mark.parametrize("value", ["http", "0", "70000"])
def test_a_port_that_is_none_is_named(start: Start, value: str) -> None:
    """A wrong setting is told in one line."""
    up = start(RELAIS_GATEWAY_PORT=value)
    assert up.end(None) == 1
    assert up.lines == [f"relais: RELAIS_GATEWAY_PORT is no port: {value}."]


def test_an_unusable_folder_is_named(start: Start, tmp_path: Path) -> None:
    """A home that cannot be made is told in one line, with the setting that names another."""
    (tmp_path / "file").touch()
    up = start(RELAIS_HOME=str(tmp_path / "file" / "var"))
    assert up.end(None) == 1
    [line] = up.lines
    assert str(tmp_path / "file" / "var") in line
    assert "RELAIS_HOME" in line


def test_a_second_stack_on_one_home_is_refused(start: Start) -> None:
    """Two supervisors never share data: the second one says where the first one is, and the first one stays."""
    first = start()
    first.until("ready: ")
    second = start()
    assert second.end(None) == 1
    [line] = second.lines
    assert f"already running on {first.home.folder}, process {first.process.pid}, at http://127.0.0.1:" in line

    running = first.home.running()
    assert running is not None
    assert running.pid == first.process.pid
    assert first.end() == 0
    assert first.home.running() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_and_keeps_every_row(start: Start, number: signal.Signals) -> None:
    """Nothing is left behind: no process, no note; what was stored is there at the next start."""
    up = start()
    up.until("ready: ")
    up.database("CREATE TABLE ledger (n int)")
    up.database("INSERT INTO ledger SELECT generate_series(1, 1000)")
    processes = up.descendants()
    assert len(processes.handles) > 4, "three services, and a server with processes of its own"

    assert up.end(number) == 0, up.output
    assert processes.alive() == 0
    assert not (up.home.folder / "stack.json").exists()
    assert "database system is shut down" in up.home.last_words("postgres")[-1]

    again = start()
    again.until("ready: ")
    assert again.database("SELECT count(*) FROM ledger") == 1000
    assert again.end() == 0


@pytest.mark.parametrize("moment", ["PostgreSQL starts", "PostgreSQL answers", "referral migrate: done"])
def test_a_signal_during_the_start_ends_it_too(start: Start, moment: str) -> None:
    """Whatever is under way is ended, and the next start goes well."""
    up = start(STAND_IN_HANGS_IN="gazetteer")
    up.until(moment)
    processes = up.descendants()
    assert up.end(signal.SIGINT) == 0, up.output
    assert processes.alive(PATIENCE_S) == 0

    again = start()
    again.until("ready: ")
    assert again.end() == 0


def test_a_deaf_service_is_killed_and_named_and_further_signals_change_nothing(start: Start) -> None:
    """An impatient second and third Ctrl-C do not cut the orderly end short."""
    up = start(STAND_IN_IS_DEAF="directory")
    up.until("ready: ")
    processes = up.descendants()
    up.process.send_signal(signal.SIGINT)
    up.until("ending")
    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGTERM)
    assert up.end(None) == 0, up.output
    assert "directory did not end within 10 s and was killed" in up.output
    assert processes.alive() == 0
    assert "database system is shut down" in up.home.last_words("postgres")[-1]


def test_what_is_prepared_is_not_prepared_again(start: Start, stand_ins: Path) -> None:
    """A kept installation starts at once; a change of code or schema brings the commands back."""

    def commands(up: Up) -> dict[str, int]:
        up.until("ready: ")
        assert up.end() == 0
        said = [(up.home.logs / f"{name}-prepare.log").read_text().splitlines() for name in SERVICES]
        return Counter(line for lines in said for line in lines if line.startswith("relais_"))

    once = commands(start())
    assert once == {**{f"relais_{name} migrate": 1 for name in SERVICES}, "relais_directory gazetteer": 1}
    assert commands(start()) == once

    (stand_ins / "relais_directory" / "more.py").touch()
    twice = commands(start())
    assert twice == once | {"relais_directory migrate": 2, "relais_directory gazetteer": 2}

    up = start()
    up.until("ready: ")
    up.database("DROP DATABASE relais_referral")
    assert up.end() == 0
    assert commands(start()) == twice | {"relais_referral migrate": 2}


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_named_and_comes_back(start: Start, service: str) -> None:
    """Its death is told with its cause; the others do not notice."""
    up = start()
    up.until("ready: ")
    before = {name: up.ask(name)[0] for name in SERVICES}
    os.kill(before[service], signal.SIGKILL)
    up.until(f"{service} died: signal SIGKILL; starting it again in 0.2 s")
    up.until(f"{service} is ready")
    after = {name: up.ask(name)[0] for name in SERVICES}
    assert {name for name in SERVICES if before[name] != after[name]} == {service}
    assert up.end() == 0


def test_a_killed_worker_is_named_and_comes_back(start: Start) -> None:
    """It is watched as its service is, which does not notice; with the stack it ends in its own order."""
    up = start()
    up.until("ready: ")
    worker, services = up.worker(), {name: up.ask(name)[0] for name in SERVICES}
    os.kill(worker, signal.SIGKILL)
    up.until("referral-work died: signal SIGKILL; starting it again in 0.2 s")
    again = up.worker(besides=worker)
    assert {name: up.ask(name)[0] for name in SERVICES} == services
    processes = Descendants([again])
    assert up.end() == 0
    assert processes.alive() == 0
    assert up.home.last_words("referral-work")[-1] == "worker ends"


def test_a_service_that_keeps_dying_ends_everything(start: Start) -> None:
    """A fault that no restart heals is told with its last words; nothing is left running."""
    up = start(STAND_IN_CRASHES="referral")
    up.until("referral died: exit code 1; starting it again in 0.2 s")
    processes = up.descendants()
    assert up.end(None) == 1
    assert "referral died: exit code 1, 6 times within 60 s. Everything ends." in up.output
    assert "  | no such luck" in up.lines
    assert str(up.home.logs / "referral.log") in up.output
    assert processes.alive() == 0


def test_a_failing_migration_ends_everything(start: Start) -> None:
    """A schema that cannot be brought up to date is told at once, with the reason."""
    up = start(STAND_IN_FAILS_IN="migrate")
    assert up.end(None) == 1
    assert re.search("(directory|referral|gateway) prepare failed: exit code 1", up.output)
    assert "  | it cannot be" in up.lines


def test_a_service_killed_while_it_is_prepared_is_named(start: Start) -> None:
    """Its death counts as that of its command: with its cause, and nothing is left running."""
    up = start(STAND_IN_HANGS_IN="gazetteer")
    up.until("directory migrate: done")
    processes = up.descendants()
    [directory] = [pid for pid in up.children() if up.title(pid).endswith("-m relais_directory serve")]
    os.kill(directory, signal.SIGKILL)
    assert up.end(None) == 1
    assert "directory prepare failed: signal SIGKILL" in up.output
    assert processes.alive(PATIENCE_S) == 0


@pytest.mark.parametrize("moment", ["PostgreSQL starts", "PostgreSQL answers", "referral migrate: done"])
def test_a_supervisor_killed_in_a_start_leaves_no_process(start: Start, moment: str) -> None:
    """Whatever it began, and whoever that began, ends with it."""
    up = start(STAND_IN_HANGS_IN="gazetteer")
    up.until(moment)
    processes = up.descendants()
    up.end(signal.SIGKILL)
    assert processes.alive(PATIENCE_S) == 0

    again = start()
    again.until("ready: ")
    assert again.end() == 0


def test_a_killed_supervisor_leaves_no_process(start: Start) -> None:
    """Its children die with it, the database cleanly; the next start needs no help."""
    up = start()
    up.until("ready: ")
    processes = up.descendants()
    up.end(signal.SIGKILL)
    assert processes.alive(PATIENCE_S) == 0
    assert "database system is shut down" in up.home.last_words("postgres")[-1]
    assert up.home.running() is None, "the note that it left counts for nothing"

    again = start()
    again.until("ready: ")
    assert again.end() == 0


def test_a_killed_database_comes_back_with_every_acknowledged_row(start: Start) -> None:
    """Its death is named; it is back on its port, so that the services find it by themselves."""
    up = start()
    up.until("ready: ")
    up.database("CREATE TABLE ledger (n int)")
    for _ in range(20):
        up.database("INSERT INTO ledger VALUES (1)")
    services = {name: up.ask(name)[0] for name in SERVICES}
    os.kill(up.postmaster(), signal.SIGKILL)
    up.until("postgres died: signal SIGKILL; starting it again")
    up.until("postgres is back")
    assert up.database("SELECT count(*) FROM ledger") == 20
    assert {name: up.ask(name)[0] for name in SERVICES} == services
    assert up.end() == 0


def test_a_service_learns_its_own_settings_only(start: Start) -> None:
    """Each service sees where it listens and whom it calls, and nothing that was set for another."""
    up = start(RELAIS_REFERRAL_DATABASE_CONNECTIONS="3", RELAIS_POSTGRES_ADMIN_DSN="")
    up.until("ready: ")
    port = {name: up.port(name) for name in (*SERVICES, "gateway_otlp")}
    for service, own in {
        "directory": {"GATEWAY_URL": f"http://127.0.0.1:{port['gateway']}"},
        "referral": {
            "GATEWAY_URL": f"http://127.0.0.1:{port['gateway']}",
            "DIRECTORY_URL": f"http://127.0.0.1:{port['directory']}",
            "DATABASE_CONNECTIONS": "3",
        },
        "gateway": {
            "DIRECTORY_URL": f"http://127.0.0.1:{port['directory']}",
            "REFERRAL_URL": f"http://127.0.0.1:{port['referral']}",
            "OTLP_PORT": str(port["gateway_otlp"]),
        },
    }.items():
        assert up.ask(service)[1] == {
            "RELAIS_HOME": str(up.home.folder),
            "RELAIS_PUBLIC_URL": f"http://localhost:{port['gateway']}",
            "RELAIS_TELEMETRY_URL": f"http://127.0.0.1:{port['gateway_otlp']}",
            f"RELAIS_{service.upper()}_PORT": str(port[service]),
            **{f"RELAIS_{service.upper()}_{name}": value for name, value in own.items()},
        }
    assert up.end() == 0


def test_a_service_is_seen_as_what_it_is(start: Start) -> None:
    """It is a child of the supervisor with a name of its own; what it was told stands in no list of processes."""
    up = start(RELAIS_REFERRAL_DATABASE_CONNECTIONS="3")
    up.until("ready: ")
    for service in SERVICES:
        pid = up.ask(service)[0]
        assert pid in up.children()
        assert up.title(pid) == f"{sys.executable} -m relais_{service} serve"
        environment = Path(f"/proc/{pid}/environ").read_text()
        assert f"RELAIS_HOME={up.home.folder}" in environment
        assert "RELAIS_REFERRAL_" not in environment
    assert up.end() == 0


def test_services_that_cannot_be_imported_are_told(start: Start, stand_ins: Path) -> None:
    """A broken installation is named with its reason, and where the whole of it stands."""
    (stand_ins / "requests.py").write_text("raise ImportError('half of it is missing')")
    up = start()
    assert up.end(None) == 1
    assert "The services cannot be imported: exit code 1" in up.output
    assert "  | ImportError: half of it is missing" in up.lines
    assert str(up.home.logs / "services.log") in up.output


def test_where_nothing_can_be_adopted_each_process_is_its_own(tmp_path: Path, stand_ins: Path) -> None:
    """Elsewhere than on Linux no process is forked: the same is prepared, and the same serves."""
    program = "from relais_local import forks; forks.POSSIBLE = False; from relais_local.cli import main; main()"
    up = Up([sys.executable, "-c", program, "up", "--no-demo"], settings_for(tmp_path / "var", stand_ins))
    try:
        up.until("directory gazetteer: done")
        up.until("ready: ")
        assert not (up.home.logs / "services.log").exists()
        assert {up.ask(name)[1]["RELAIS_HOME"] for name in SERVICES} == {str(up.home.folder)}
    finally:
        assert up.end() == 0, up.output


def test_databases_that_the_settings_name_are_used(start: Start) -> None:
    """Three databases elsewhere: no server is started here, and the owner's login stays with the migrations."""
    names = [f"RELAIS_{service.upper()}_{kind}" for service in SERVICES for kind in ("DSN", "OWNER_DSN")]
    elsewhere = {name: f"postgresql://nobody@127.0.0.1:1/{name}" for name in names}
    elsewhere["STAND_IN_HAS_NO_SCHEMA"] = "1"
    up = start(**elsewhere)
    up.until("ready: ")
    assert up.ask("referral")[1]["RELAIS_REFERRAL_DSN"] == elsewhere["RELAIS_REFERRAL_DSN"]
    assert "RELAIS_REFERRAL_OWNER_DSN" not in up.ask("referral")[1]
    assert not (up.home.postgres / "data").exists()
    assert up.end() == 0

    del elsewhere["RELAIS_GATEWAY_OWNER_DSN"]
    up = start(**elsewhere)
    assert up.end(None) == 1
    assert "RELAIS_GATEWAY_OWNER_DSN not set" in up.output


@pytest.mark.anyio
async def test_a_server_that_the_settings_name_gets_databases_and_roles(start: Start, tmp_path: Path) -> None:
    """An administrator's login elsewhere: databases and roles are made there; the services never see it."""
    async with running(Home(tmp_path / "elsewhere")) as cluster:
        up = start(RELAIS_POSTGRES_ADMIN_DSN=cluster.admin_dsn())
        up.until("ready: ")
        assert f"127.0.0.1:{cluster.port}/relais_referral" in (up.home.secret("relais_referral_dsn") or "")
        assert "RELAIS_POSTGRES_ADMIN_DSN" not in up.ask("referral")[1]
        assert up.end() == 0
        assert not (up.home.postgres / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a stack as somebody else")
def test_an_ordinary_user_runs_it_too(stand_ins: Path) -> None:
    """No right of root is needed: another account starts, uses and ends it."""
    user = pwd.getpwnam("daemon")
    python, path = interpreter_for(user)
    with open_folder(user) as folder:
        shutil.copytree(stand_ins, folder / "stand-ins")
        env = settings_for(folder / "a home", folder / "stand-ins")
        env["PYTHONPATH"] += os.pathsep + path["PYTHONPATH"]
        up = Up(
            [python, "-m", "relais_local", "up", "--no-demo"],
            env,
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
        )
        up.until("ready: ")
        assert Path(f"/proc/{up.postmaster()}").stat().st_uid == user.pw_uid
        assert up.end() == 0


def relais(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `relais` command."""
    return subprocess.run(
        [sys.executable, "-m", "relais_local", *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_gathers_what_packages_offer() -> None:
    """`relais` lists the commands of every installed package, each with what it does, and imports none for that."""
    listed = relais("--help").stdout
    for offer in entry_points(group="relais.commands"):
        assert re.search(rf"│ {offer.name} +\w", listed), f"{offer.name} stands there without a word"
    imports = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "relais_local", "--help"], capture_output=True, text=True, check=True
    )
    assert not re.search("fastapi|relais_(directory|referral|gateway)[.]cli", imports.stderr)


def test_each_gathered_command_is_its_packages_own() -> None:
    """Called by name, a command is the one that its package wrote; an unknown one is refused."""
    for offer in entry_points(group="relais.commands"):
        assert "Usage: relais " + offer.name in " ".join(relais(offer.name, "--help").stdout.split()).replace(
            "python -m relais_local", "relais"
        )
    assert relais("nonsense").returncode == 2
    assert "--demo" in relais("--", "up", "--help").stdout
