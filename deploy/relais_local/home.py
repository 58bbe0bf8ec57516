"""What stands in `RELAIS_HOME`: folders, secrets, keys, the lock, and the note about the running stack."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from relais_shared.keys import make_keys, write_private

SERVICES = ("directory", "referral", "gateway")
"""The services by name; the gateway stands last, because it asks the others."""

SECRET_BYTES = 32
"""256 bits: as many as the keyed hashes that are made from a secret."""
LOG_BYTES = 10_000_000
"""A log that has grown beyond this is put aside at the next start (one predecessor is kept)."""


class CannotRun(Exception):  # noqa: N818 - it reads as what it says
    """Relais cannot start here, or cannot go on; the text says what is wrong and what helps."""


@dataclass(frozen=True)
class Stack:
    """The running stack, as another program finds it in `$RELAIS_HOME/stack.json`."""

    pid: int
    base_url: str
    public_url: str
    ports: dict[str, int]


@dataclass(frozen=True)
class Home:
    """The folder of one installation; everything in it is for its owner's eyes only."""

    folder: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """Answer the home that `RELAIS_HOME` names, `var/` if it names none."""
        # The services read it likewise; their module costs more time than a command line may take.
        return cls(Path(os.environ.get("RELAIS_HOME") or "var").absolute())

    @property
    def secrets(self) -> Path:
        """Answer the folder of secrets, each a file named like its setting in lower case."""
        return self.folder / "secrets"

    @property
    def keys(self) -> Path:
        """Answer the folder of keys: signing keys, their public set, and the wrapping keys."""
        return self.folder / "keys"

    @property
    def logs(self) -> Path:
        """Answer the folder of logs, one file for each process."""
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        """Answer the folder of the embedded database."""
        return self.folder / "postgres"

    def prepare(self) -> None:
        """Make the folders, secrets and keys that are absent; change none that is there.

        Raises:
            CannotRun: The folder cannot be made or written.
        """
        self.make_secrets()
        self.make_keys()

    def make_secrets(self) -> None:
        """Make the folders and secrets that are absent.

        Raises:
            CannotRun: The folder cannot be made or written.
        """
        with self._usable():
            for folder in (self.secrets, self.keys, self.logs, self.postgres):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in (*(f"relais_{service}_secret" for service in SERVICES), "relais_telemetry_token"):
                if self.secret(name) is None:
                    self.write_secret(name, secrets.token_urlsafe(SECRET_BYTES))

    def make_keys(self) -> None:
        """Make the keys that are absent, in the folder that is there.

        Raises:
            CannotRun: They cannot be written.
        """
        wanted = [*(f"{service}.jwk" for service in SERVICES), "internal.jwks.json"]
        with self._usable():
            if not all((self.keys / name).exists() for name in wanted):
                make_keys(self.keys, SERVICES)
            if not (self.keys / "wrapping.json").exists():
                kid = secrets.token_hex(4)
                wrapping = {"current": kid, "keys": {kid: secrets.token_urlsafe(SECRET_BYTES)}}
                write_private(self.keys / "wrapping.json", json.dumps(wrapping, indent=1))

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise CannotRun(
                f"{self.folder} cannot be used: {fault.strerror}. Set RELAIS_HOME to a folder that you may write."
            ) from None

    def secret(self, name: str) -> str | None:
        """Answer a secret by its setting's name in lower case; none if it was never made."""
        try:
            return (self.secrets / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    def write_secret(self, name: str, value: str) -> None:
        """Keep a secret under its setting's name in lower case."""
        if self.secret(name) != value:
            write_private(self.secrets / name, value + "\n")

    @contextmanager
    def log(self, name: str) -> Iterator[int]:
        """Answer a file descriptor that appends to `logs/<name>.log`, for a child to inherit."""
        path = self.path_of_log(name)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)

    def path_of_log(self, name: str) -> Path:
        """Answer where a process's log stands."""
        return self.logs / f"{name}.log"

    def told(self, name: str) -> str:
        """Answer the last words of a process and where its log is, to stand below a line that names it."""
        return "".join(f"\n  | {line}" for line in self.last_words(name)) + f"\n  ({self.path_of_log(name)})"

    def last_words(self, name: str, lines: int = 5) -> list[str]:
        """Answer the last lines of a process's log."""
        try:
            with self.path_of_log(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home, so that no second supervisor runs on it; the lock dies with its process.

        Raises:
            CannotRun: Another one holds it (says its process and address), or the folder cannot be used.
        """
        with self._usable():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.folder / "relais.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for patience_s in (0.05, 0.1, 0.2, None):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # `running` looks at the lock by holding it for an instant: that is no second stack.
                    if patience_s is not None:
                        time.sleep(patience_s)
                        continue
                    raise self._occupied(self._stack()) from None
            yield
        finally:
            os.close(handle)

    def check_free(self) -> None:
        """Find out, without touching anything, whether a stack runs here already.

        Raises:
            CannotRun: One does; says its process and address.
        """
        there = self.running()
        if there is not None:
            raise self._occupied(there)

    def _occupied(self, there: Stack | None) -> CannotRun:
        who = f", process {there.pid}, at {there.base_url}" if there else ""
        return CannotRun(f"Relais is already running on {self.folder}{who}.")

    def announce(self, stack: Stack) -> None:
        """Say in `stack.json` what runs here; `running` reads it."""
        write_private(self.folder / "stack.json", json.dumps(asdict(stack), indent=1))

    def retire(self) -> None:
        """Take the note about the running stack away."""
        (self.folder / "stack.json").unlink(missing_ok=True)

    def running(self) -> Stack | None:
        """Answer the stack that runs on this home, none if none does (a note left by a killed one counts not)."""
        try:
            handle = os.open(self.folder / "relais.lock", os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._stack()
        else:
            return None
        finally:
            os.close(handle)

    def _stack(self) -> Stack | None:
        try:
            return Stack(**json.loads((self.folder / "stack.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
