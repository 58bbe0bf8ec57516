"""What the tests of the local stack share: a server for a while, folders, other accounts."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from pwd import struct_passwd

import pytest

import relais_local
import relais_shared
from relais_local.home import Home
from relais_local.postgres import Cluster


@asynccontextmanager
async def running(home: Home, *, careful: bool = False) -> AsyncIterator[Cluster]:
    """Run a server on a home for the length of a block."""
    home.prepare()
    cluster = Cluster(home, careful=careful)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@contextmanager
def open_folder(owner: struct_passwd | None = None) -> Iterator[Path]:
    """Answer a folder that every account can walk to; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="relais open "))
    folder.chmod(0o755)
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def interpreter_for(user: struct_passwd) -> tuple[str, dict[str, str]]:
    """Answer a Python that `user` can execute, and the environment in which it finds our packages.

    The one that runs us may lie below a closed home; then the system's of the same version does as well.
    Skips the test when there is none.
    """
    packages = [Path(module.__file__ or "").parents[1] for module in (relais_local, relais_shared)]
    site = next(path for path in sys.path if path.endswith("site-packages"))
    env = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(str, [*packages, site])),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            done = subprocess.run(
                [python, "-c", "import asyncpg, relais_local, relais_shared"],
                env=env,
                cwd="/",
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python, env
    pytest.skip(f"no Python {version} here that {user.pw_name} can execute with our packages")
