"""One command runs everything: the database, its schemas, the three services; and ends it all again."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relais_local import databases, forks, processes
from relais_local.home import SERVICES, CannotRun, Home, Stack
from relais_local.postgres import Cluster, port_is_free
from relais_local.prepared import Prepared, state_of
from relais_local.processes import Child, Launch

BACK_OFF_S = 0.2
"""A service that died comes back after this, doubled with each death that followed soon."""
LONGEST_BACK_OFF_S = 5.0
"""A cause that passes (a database coming back) has passed by then; more waiting only looks dead."""
DEATHS = 5
"""As many deaths within `DEATHS_WITHIN_S` are bad luck; one more is a fault that no restart heals."""
DEATHS_WITHIN_S = 60.0
"""See `DEATHS`."""
READY_PATIENCE_S = 120
"""A start takes seconds; a slow machine that seeds its first data gets two minutes."""
LOOK_EVERY_S = 0.1
"""How often a starting service is asked whether it is ready."""
ANSWER_S = 5
"""A health check that takes longer than this is no answer."""
STOP_S = 10
"""What a service has for ending its running requests."""

_PORTS = {"gateway": 8000, "directory": 8001, "referral": 8002, "gateway_otlp": 8003}
"""The defaults of the four ports; `RELAIS_<NAME>_PORT` moves each."""
_NEIGHBOURS = {
    "directory": ("gateway",),
    "referral": ("directory", "gateway"),
    "gateway": ("directory", "referral"),
}
"""Whom each service calls; it learns their addresses as `RELAIS_<SERVICE>_<NEIGHBOUR>_URL`."""

_WORKERS = ("referral",)
"""The services that also work without being asked: `python -m relais_<service> work`, watched as its server is."""


@dataclass(frozen=True)
class Plan:
    """Where everything listens, and whether the demonstration is loaded."""

    host: str
    ports: dict[str, int]
    public_url: str
    demo: bool

    @classmethod
    def from_environment(cls, *, demo: bool) -> "Plan":
        """Read where things shall listen.

        Raises:
            CannotRun: A port is no port, or named twice.
        """
        ports: dict[str, int] = {}
        for name, default in _PORTS.items():
            setting = _setting(name)
            text = os.environ.get(setting) or str(default)
            if not text.isdecimal() or not 0 < int(text) < 1 << 16:
                raise CannotRun(f"{setting} is no port: {text}.")
            if int(text) in ports.values():
                raise CannotRun(f"{setting} is {text}, which another setting names already.")
            ports[name] = int(text)
        url = os.environ.get("RELAIS_PUBLIC_URL") or f"http://localhost:{ports['gateway']}"
        return cls(os.environ.get("RELAIS_GATEWAY_HOST") or "127.0.0.1", ports, url, demo)

    def check(self) -> None:
        """Find out before anything starts whether every port can be had.

        Raises:
            CannotRun: One is taken; says which, and the setting that moves it.
        """
        for name, port in self.ports.items():
            if not port_is_free(port, self.host if name == "gateway" else "127.0.0.1"):
                raise CannotRun(f"Port {port} is taken or not allowed: set {_setting(name)} to another one.")

    def address(self, service: str) -> tuple[str, int]:
        """Answer where a service is reached from this machine."""
        everywhere = self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        host = self.host if service == "gateway" and not everywhere else "127.0.0.1"
        return host, self.ports[service]

    def url(self, service: str) -> str:
        """Answer a service's address as a URL."""
        host, port = self.address(service)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Supervisor:
    """Runs the stack on one home until it is told to end, or cannot go on.

    Args:
        home: Where its data stand.
        plan: Where its services listen.
        say: Takes each line of progress.
    """

    def __init__(self, home: Home, plan: Plan, say: Callable[[str], None]) -> None:
        self._home = home
        self._plan = plan
        self._report = say
        self._cluster: Cluster | None = None
        self._children: dict[str, Child] = {}
        self._forks: dict[str, forks.Fork] = {}
        self._began = 0.0
        self._owner_dsn: dict[str, str] = {}
        self._prepared = Prepared(home)
        self._foundation = asyncio.Event()
        self._territory_written: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start everything, keep it running, and end it when a signal asks for it.

        Raises:
            CannotRun: It does not start, or something died too often; everything has ended.
        """
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        life = asyncio.create_task(self._live())
        told: list[signal.Signals] = []

        def end(number: signal.Signals) -> None:
            # Only the first signal counts: a second Ctrl-C must not interrupt an orderly end.
            if not told:
                told.append(number)
                life.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)
        try:
            await life
        except asyncio.CancelledError:
            self._say(f"{told[0].name}: ending" if told else "ending")
        except BaseExceptionGroup as several:
            raise _first(several) from None
        finally:
            await self._end()
        self._say("ended")

    async def _live(self) -> None:
        self._home.check_free()
        self._plan.check()
        with self._home.lock():
            self._home.make_secrets()
            ports = self._plan.ports
            self._home.announce(Stack(os.getpid(), self._plan.url("gateway"), self._plan.public_url, ports))
            try:
                await self._open()
            finally:
                self._home.retire()

    async def _open(self) -> None:
        async with asyncio.TaskGroup() as guards:

            def guard(service: str, child: Child | None) -> None:
                guards.create_task(self._guard(service, child=child))

            async with asyncio.TaskGroup() as opening:
                for service in SERVICES:
                    opening.create_task(self._open_service(service, guard))
                # Whoever starts for the first time makes keys and imports services while initdb makes data.
                meanwhile = [opening.create_task(asyncio.to_thread(self._home.make_keys))]
                if forks.POSSIBLE:
                    meanwhile.append(opening.create_task(self._fork()))
                await self._open_database()
                await asyncio.gather(*meanwhile)
                if self._cluster is not None:
                    guards.create_task(self._guard_database(self._cluster))
                self._foundation.set()
            for service in _WORKERS:
                guards.create_task(self._guard(service, "work"))
            self._say(f"Relais is ready: {self._plan.public_url}")
            if self._plan.demo:
                self._say(f"Demonstration accounts: {self._accounts}")
            else:
                self._say("Nobody signs in yet? `relais users first --help` makes whoever runs it.")
            self._say("Ctrl-C ends it.")

    async def _fork(self) -> None:
        self._forks = await forks.fork(SERVICES, self._home, self._environment(None))
        self._children |= self._forks

    async def _open_database(self) -> None:
        given = databases.given()
        elsewhere = os.environ.get("RELAIS_POSTGRES_ADMIN_DSN")
        if given is not None:
            access = given
            self._say("using the databases that the settings name")
        elif elsewhere:
            access = await databases.provision(self._home, elsewhere, ours=False)
            self._say("using the PostgreSQL that the settings name")
        else:
            self._say("PostgreSQL starts")
            self._cluster = Cluster(self._home)
            await self._cluster.start()
            access = await databases.provision(self._home, self._cluster.admin_dsn(), ours=True)
            self._say(f"PostgreSQL answers on port {self._cluster.port}")
        self._owner_dsn = {service: ways.owner_dsn for service, ways in access.items()}

    async def _open_service(self, service: str, guard: Callable[[str, Child | None], None]) -> None:
        """Bring a service's schema and first data to where they belong, then serve."""
        await self._foundation.wait()
        if not await self._is_prepared(service):
            for argv in [["migrate"], *await self._first_data(service)]:
                await self._command(service, argv)
            self._prepared.keep(service, await self._state(service))
        child = self._forks.get(service)
        if child is not None:
            env = self._environment(service, serving=True)
            with self._home.log(service):  # One that has grown is put aside; the process opens it by its name.
                await child.serve(env, self._home.path_of_log(service))
        guard(service, child)
        await self._ready(service)

    async def _command(self, service: str, argv: list[str]) -> None:
        """Have a command of a service run.

        Raises:
            CannotRun: It failed.
        """
        name, env, fork = f"{service}-prepare", self._environment(service), self._forks.get(service)
        with self._home.log(name) as log:
            if fork is not None:
                code = await fork.command(argv, env, self._home.path_of_log(name))
            else:
                code = await processes.run(Launch([sys.executable, "-m", f"relais_{service}", *argv], env, log))
        self._judge(name, code)
        self._say(f"{service} {argv[0]}: done")

    async def _is_prepared(self, service: str) -> bool:
        if service == "gateway" and self._plan.demo and not self._accounts.exists():
            return False
        return self._prepared.holds(service, await self._state(service))

    async def _state(self, service: str) -> str | None:
        return await state_of(service, self._owner_dsn[service], demo=self._plan.demo)

    async def _first_data(self, service: str) -> list[list[str]]:
        """Answer the commands that load what an empty database lacks; repeated, they change nothing."""
        commands = []
        if service == "directory":
            commands.append(["gazetteer"])
            if self._plan.demo:
                territory = await self._territory()
                # Stops first: each place learns its nearest ones while it is written.
                commands.append(["stops", str(territory / "stops.csv"), "--source", "demo", "--kind", "bus"])
                commands.append(["import", str(territory / "services.json"), "--source", "demo"])
        if service == "gateway" and self._plan.demo:
            organisations = str(await self._territory() / "organisations.json")
            commands.append(["demo", "--organisations", organisations, "--output", str(self._accounts)])
        return commands

    @property
    def _accounts(self) -> Path:
        return self._home.folder / "demo.json"

    async def _territory(self) -> Path:
        """Answer the folder of the demonstration's files, written once in a start, whoever asks first."""
        folder = self._home.folder / "territory"
        if self._territory_written is None:
            self._territory_written = asyncio.create_task(self._write_territory(folder))
        await self._territory_written
        return folder

    async def _write_territory(self, folder: Path) -> None:
        # Seen lately, whenever it is loaded: what was told of places counts for some weeks alone. On a Monday, so that
        # whatever prepares it again in the same week changes nothing.
        today = datetime.now(UTC).date()
        seen = today - timedelta(days=today.weekday() + 7)
        argv = [sys.executable, "-m", "relais_local.territory", str(folder), "--as-of", seen.isoformat()]
        with self._home.log("territory") as log:
            code = await processes.run(Launch(argv, self._environment(None), log))
        self._judge("territory", code)
        self._say("territory: done")

    def _judge(self, name: str, code: int) -> None:
        """Raise CannotRun, with its last words, when a command did not end well."""
        if code != 0:
            raise CannotRun(f"{name.replace('-', ' ')} failed: {processes.reason_of(code)}{self._home.told(name)}")

    async def _guard(self, service: str, verb: str = "serve", *, child: Child | None = None) -> None:
        """Keep a service, or its worker, running.

        Args:
            service: Its name.
            verb: What it does.
            child: It, where it runs already.

        Raises:
            CannotRun: It died too often.
        """
        deaths: deque[float] = deque()
        name = service if verb == "serve" else f"{service}-{verb}"
        while True:
            if child is None:
                with self._home.log(name) as log:
                    argv = [sys.executable, "-m", f"relais_{service}", verb]
                    child = await processes.start(Launch(argv, self._environment(service, serving=True), log))
                self._children[name] = child
            # A worker is asked by nobody, so nobody can be told that it is ready again.
            herald = asyncio.create_task(self._herald(service)) if deaths and verb == "serve" else None
            try:
                code = await child.wait()
            finally:
                if herald is not None:
                    herald.cancel()
            child = None
            await self._mourn(name, code, deaths)

    async def _herald(self, service: str) -> None:
        with suppress(CannotRun):  # its guard sees to that
            await self._ready(service)

    async def _guard_database(self, cluster: Cluster) -> None:
        deaths: deque[float] = deque()
        while True:
            code = await cluster.ended()
            await self._mourn("postgres", code, deaths)
            await cluster.start()
            self._say("postgres is back")

    async def _mourn(self, name: str, code: int, deaths: deque[float]) -> None:
        """Say that a child died and wait before its return.

        Raises:
            CannotRun: It died too often.
        """
        now = asyncio.get_running_loop().time()
        deaths.append(now)
        while deaths[0] < now - DEATHS_WITHIN_S:
            deaths.popleft()
        reason = f"{name} died: {processes.reason_of(code)}"
        if len(deaths) > DEATHS:
            raise CannotRun(
                f"{reason}, {len(deaths)} times within {DEATHS_WITHIN_S:.0f} s. Everything ends.{self._home.told(name)}"
            )
        wait_s = min(BACK_OFF_S * 2 ** (len(deaths) - 1), LONGEST_BACK_OFF_S)
        self._say(f"{reason}; starting it again in {wait_s:g} s")
        await asyncio.sleep(wait_s)

    async def _ready(self, service: str) -> None:
        """Wait until a service says that it is ready.

        Raises:
            CannotRun: It does not; says what it answered last.
        """
        said = "no answer"
        try:
            async with asyncio.timeout(READY_PATIENCE_S):
                while True:
                    status, said = await _ask(*self._plan.address(service), "/readyz", said)
                    if status == "200":
                        break
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise CannotRun(f"{service} does not get ready: {said[:300]}{self._home.told(service)}") from None
        self._say(f"{service} is ready")

    async def _end(self) -> None:
        """End the services, then the database they write to."""
        await asyncio.gather(*(self._end_child(name, child) for name, child in self._children.items()))
        if self._cluster is not None and not await self._cluster.stop():
            self._say("postgres did not end in time and was stopped hard; its next start replays its log")

    async def _end_child(self, name: str, child: Child) -> None:
        if not await processes.ask_to_end(child, signal.SIGTERM, STOP_S):
            await processes.kill(child)
            self._say(f"{name} did not end within {STOP_S} s and was killed")

    def _environment(self, service: str | None, *, serving: bool = False) -> dict[str, str]:
        """Answer what a child may know: our environment without other services' settings, and all addresses."""
        plan = self._plan
        foreign = tuple(f"RELAIS_{other.upper()}_" for other in SERVICES if other != service)
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        env.pop("RELAIS_POSTGRES_ADMIN_DSN", None)
        env |= {
            "RELAIS_HOME": str(self._home.folder),
            "RELAIS_PUBLIC_URL": plan.public_url,
            "RELAIS_TELEMETRY_URL": env.get("RELAIS_TELEMETRY_URL") or plan.url("gateway_otlp"),
            # What lies in the folder that we were started in is no module of ours.
            "PYTHONSAFEPATH": "1",
        }
        if service is not None:
            env[_setting(service)] = str(plan.ports[service])
            for neighbour in _NEIGHBOURS[service]:
                env[f"RELAIS_{service.upper()}_{neighbour.upper()}_URL"] = plan.url(neighbour)
            if serving:
                env.pop(f"RELAIS_{service.upper()}_OWNER_DSN", None)
        if service == "referral" and plan.demo:
            # Whoever tries webhooks on one machine has a receiver there, without a certificate.
            env.setdefault("RELAIS_REFERRAL_WEBHOOK_LOOPBACK", "true")
        if service == "gateway":
            env[_setting("gateway_otlp")] = str(plan.ports["gateway_otlp"])
        return env

    def _say(self, line: str) -> None:
        elapsed_s = asyncio.get_running_loop().time() - self._began
        self._report(f"{elapsed_s:6.1f} s  {line}")


def _setting(name: str) -> str:
    return f"RELAIS_{name.upper()}_PORT"


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """Answer the first cause of a group: what came after it is only its echo."""
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _ask(host: str, port: int, path: str, before: str) -> tuple[str, str]:
    """Answer the status and body of a GET, `before` as the body when nobody answers."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                name = f"[{host}]" if ":" in host else host
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read(-1)).decode(errors="replace").partition("\r\n\r\n")
            finally:
                writer.close()
        return head.split(" ", 2)[1], body.strip() or head.split("\r\n", 1)[0]
    except (OSError, IndexError, TimeoutError):
        return "", before
