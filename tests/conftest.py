"""Fixtures for every test that needs PostgreSQL, keys or secrets.

How to use them:

- `home` (session): a temporary `RELAIS_HOME`, laid out as `relais up` does it, and named by the environment;
  `YourSettings.load()` then finds keys, secrets and DSNs. No other `RELAIS_*` or `OTEL_*` variable is set.
- `databases` (session): `databases["directory"].dsn` and `.owner_dsn`, migrated at first request; shared by all
  tests of the session, so write tests that bear other tests' rows.
- `fresh_database` (session): `fresh_database("directory")` answers the same for a new, migrated, empty copy.
- `one_day`: the day (UTC) does not end while the test runs; `support.days.today` answers it.
- `anyio_backend`: async tests run on asyncio, on one loop for the whole session.

The server is a real one of our own with random port and passwords; it ends with the session. It does not wait
for the disk (`fsync=off`), so tests of crashes start their own (`relais_local.postgres.Cluster`).
"""

import asyncio
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from httpx._transports import default as httpx_transports
from hypothesis import HealthCheck, settings
from support.days import wait_for_a_day

from relais_local import databases as provisioning
from relais_local.databases import Access
from relais_local.home import Home
from relais_local.postgres import Cluster

pytest_plugins = ["support.stack"]

# The moments of the tests that kill: drawn once for a run, whose processes all inherit it.
os.environ.setdefault("RELAIS_SEED", str(random.SystemRandom().randrange(10_000)))

# A busy machine makes nothing wrong: no example is timed, nor is how it was made.
settings.register_profile("relais", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relais")

# Each client of httpx reads the public authorities of TLS anew, for some 70 ms: here they all share them.
httpx_transports.create_ssl_context = cache(httpx_transports.create_ssl_context)

# Who asks without a patience of its own has this one, not httpx's five seconds: the machine may be busy.
for _waits_for in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, _waits_for, 30.0)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a parameter that holds an id made by chance without it: a test has the same name in every process."""
    named = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id", str(val))
    return named if named != str(val) and isinstance(val, str | UUID) else None


@pytest.fixture
def one_day() -> None:
    """Begin no test that speaks of today where midnight would come in between."""
    wait_for_a_day()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio alone: it is what the services run on."""
    return "asyncio"


class Databases:
    """The services' databases on one server, each migrated when first asked for."""

    def __init__(self, home: Home, cluster: Cluster, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._home = home
        self._cluster = cluster
        self._run = run
        self._access: dict[str, Access] = run(provisioning.provision(home, cluster.admin_dsn(), ours=True))
        self._migrated: set[str] = set()
        self._numbers = count(1)

    def __getitem__(self, service: str) -> Access:
        """Answer the session's database of a service, which `relais_<service>_dsn` in the home names too."""
        access = self._access[service]
        if service not in self._migrated:
            migrate(service, access.owner_dsn)
            self._copy(service, f"relais_{service}", f"relais_{service}_template")
            self._migrated.add(service)
        return access

    @property
    def admin_dsn(self) -> str:
        """The server as its administrator: for faults that no service could cause itself."""
        return self._cluster.admin_dsn()

    @property
    def files(self) -> Path:
        """The server's raw files: what is searched for what must not be there."""
        return self._home.postgres / "data"

    def fresh(self, service: str) -> Access:
        """Answer a new copy of a service's database: migrated, and as empty as the migrations leave it."""
        access = self[service]
        name = f"relais_{service}_{next(self._numbers)}"
        self._copy(service, f"relais_{service}_template", name)
        return Access(_renamed(access.dsn, name), _renamed(access.owner_dsn, name))

    def _copy(self, service: str, source: str, target: str) -> None:
        self._run(provisioning.copy(self._cluster.admin_dsn(), service, source, target))


def migrate(service: str, owner_dsn: str) -> None:
    """Bring a database to the newest schema by the service's own command."""
    done = subprocess.run(
        [sys.executable, "-m", f"relais_{service}", "migrate"],
        env={**os.environ, f"RELAIS_{service.upper()}_OWNER_DSN": owner_dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{service} does not migrate:\n{done.stdout}{done.stderr}"


def _renamed(dsn: str, database: str) -> str:
    return f"{dsn.rpartition('/')[0]}/{database}"


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Databases]]:
    """Start a server for the session, watched by a loop of its own: tests have theirs."""
    loop = asyncio.new_event_loop()
    # A run that was interrupted ends all the same: the server ends with its process.
    thread = threading.Thread(target=loop.run_forever, name="postgres", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    home = Home(tmp_path_factory.mktemp("relais") / "home")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("RELAIS_", "OTEL_"))]:
            environment.delenv(name)
        environment.setenv("RELAIS_HOME", str(home.folder))
        home.prepare()
        cluster = Cluster(home, careful=False)
        try:
            run(cluster.start())
            yield home, Databases(home, cluster, run)
        finally:
            run(cluster.stop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@pytest.fixture(scope="session")
def home(_server: tuple[Home, Databases]) -> Path:
    """Answer the session's `RELAIS_HOME`; the environment names it."""
    return _server[0].folder


@pytest.fixture(scope="session")
def databases(_server: tuple[Home, Databases]) -> Databases:
    """Answer the services' databases by service name."""
    return _server[1]


@pytest.fixture(scope="session")
def fresh_database(databases: Databases) -> Callable[[str], Access]:
    """Answer a factory of private databases by service name."""
    return databases.fresh
