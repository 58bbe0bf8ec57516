"""Personal data are sealed under a key of their referral, itself wrapped by a key that is not in the database."""

import fcntl
import json
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relais_shared.keys import write_private
from relais_shared.settings import SettingsProblem

NONCE_BYTES: Final = 12
"""The nonce of AES-GCM; random, since a referral's key seals few texts."""
KEY_BYTES: Final = 32
"""AES-256."""
LIVING: Final = 64
"""Wrapping keys in use at once. To destroy one referral for good, its wrapping key is destroyed too, and whatever else
lived under it is wrapped anew: with 64 of them that is one referral in 64."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A referral's key as the database keeps it."""

    key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A key that wraps others; `retiring` since when it wraps nothing new, None while it lives."""

    key: bytes
    made: date
    retiring: datetime | None = None


class KeyFile:
    """The wrapping keys in `keys/wrapping.json`, outside the database; every process follows what is there.

    Args:
        path: The file; owner-readable, replaced as a whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, WrappingKey] = {}

    def held(self) -> Mapping[str, WrappingKey]:
        """Answer the keys by id, read again when the file is another than before.

        Raises:
            SettingsProblem: The file is absent or not as `relais up` writes it.
        """
        try:
            there = self.path.stat()
            stamp = (there.st_ino, there.st_mtime_ns)
            if stamp != self._stamp:
                self._keys = _read(json.loads(self.path.read_text()), datetime.fromtimestamp(there.st_mtime, UTC))
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise SettingsProblem(
                f"$RELAIS_HOME/keys/wrapping.json cannot be read ({type(fault).__name__}). `relais up` makes it."
            ) from None
        return self._keys

    def fill(self, now: datetime) -> None:
        """Make keys until `LIVING` of them live."""
        self._change(lambda keys: _filled(keys, now))

    def retire(self, key_ids: Iterable[str], now: datetime) -> None:
        """Let keys wrap nothing new from now on, and make their successors."""
        wanted = set(key_ids)
        self._change(
            lambda keys: _filled(
                {
                    key_id: replace(key, retiring=key.retiring or now) if key_id in wanted else key
                    for key_id, key in keys.items()
                },
                now,
            )
        )

    def destroy(self, key_ids: Iterable[str]) -> None:
        """Remove keys for good; nothing may be left under them."""
        gone = set(key_ids)
        self._change(lambda keys: {key_id: key for key_id, key in keys.items() if key_id not in gone})

    def _change(self, change: Callable[[Mapping[str, WrappingKey]], Mapping[str, WrappingKey]]) -> None:
        with _alone(self.path.with_suffix(".lock")):
            before = self.held()
            after = change(before)
            if after != before:
                write_private(self.path, json.dumps(_written(after), indent=1))
                _to_disk(self.path.parent)


def _read(found: dict[str, Any], since: datetime) -> dict[str, WrappingKey]:
    return {
        # An installation of the first days has texts here: its one key is as old as its file.
        key_id: WrappingKey(_decoded(said), since.date())
        if isinstance(said, str)
        else WrappingKey(
            _decoded(said["key"]),
            date.fromisoformat(said["made"]),
            datetime.fromisoformat(said["retiring"]) if said.get("retiring") else None,
        )
        for key_id, said in found["keys"].items()
    }


def _decoded(text: str) -> bytes:
    key = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(key) != KEY_BYTES:
        raise ValueError("A wrapping key has 32 bytes.")
    return key


def _written(keys: Mapping[str, WrappingKey]) -> dict[str, Any]:
    return {
        "keys": {
            key_id: {
                "key": urlsafe_b64encode(key.key).rstrip(b"=").decode(),
                "made": key.made.isoformat(),
                "retiring": key.retiring.isoformat() if key.retiring else None,
            }
            for key_id, key in keys.items()
        }
    }


def _filled(keys: Mapping[str, WrappingKey], now: datetime) -> Mapping[str, WrappingKey]:
    missing = LIVING - sum(key.retiring is None for key in keys.values())
    made = {secrets.token_hex(8): WrappingKey(os.urandom(KEY_BYTES), now.date()) for _ in range(missing)}
    return {**keys, **made}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time change the keys; the lock goes with the process that held it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _to_disk(folder: Path) -> None:
    """Wait until the folder's newest entry is on the disk: a key that was used must not be lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Sealer:
    """Makes and opens the keys of referrals.

    Args:
        file: The wrapping keys.
    """

    def __init__(self, file: KeyFile) -> None:
        self.file = file
        self.home = file.path.parent.parent
        self._ciphers: dict[str, AESGCM] = {}
        self._of: Mapping[str, WrappingKey] | None = None
        self._living: list[str] = []
        self._follow()

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read `keys/wrapping.json` below `RELAIS_HOME`.

        Raises:
            SettingsProblem: The file is absent or not as `relais up` writes it.
        """
        file = KeyFile(home / "keys" / "wrapping.json")
        file.held()
        file.fill(datetime.now(UTC))
        return cls(file)

    def _follow(self) -> None:
        """Take the keys over where the file has changed: one that was destroyed is forgotten here too."""
        keys = self.file.held()
        if keys is not self._of:
            self._ciphers = {key_id: AESGCM(key.key) for key_id, key in keys.items()}
            self._living = [key_id for key_id, key in keys.items() if key.retiring is None]
            self._of = keys

    def new(self, referral_id: UUID) -> tuple[Wrapped, "Seal"]:
        """Make the key of a new referral."""
        key = os.urandom(KEY_BYTES)
        return self._wrap(referral_id, key), Seal(referral_id, key)

    def open(self, referral_id: UUID, kept: Wrapped) -> "Seal":
        """Open the key of a referral.

        Raises:
            InvalidTag: It was wrapped for another referral or by another key, or changed.
            KeyError: Its wrapping key is no longer there.
        """
        return Seal(referral_id, self._unwrap(referral_id, kept))

    def anew(self, referral_id: UUID, kept: Wrapped) -> Wrapped:
        """Wrap the key of a referral under another wrapping key; what it sealed stays as it is."""
        return self._wrap(referral_id, self._unwrap(referral_id, kept))

    def _wrap(self, referral_id: UUID, key: bytes) -> Wrapped:
        self._follow()
        key_id = secrets.choice(self._living)
        nonce = os.urandom(NONCE_BYTES)
        return Wrapped(key_id, nonce + self._ciphers[key_id].encrypt(nonce, key, _wrapping(referral_id, key_id)))

    def _unwrap(self, referral_id: UUID, kept: Wrapped) -> bytes:
        self._follow()
        nonce, sealed = kept.wrapped[:NONCE_BYTES], kept.wrapped[NONCE_BYTES:]
        return self._ciphers[kept.key_id].decrypt(nonce, sealed, _wrapping(referral_id, kept.key_id))


class Seal:
    """Seals and opens the parts of one referral; each is bound to its place, so none can stand for another."""

    def __init__(self, referral_id: UUID, key: bytes) -> None:
        self._id = referral_id
        self._cipher = AESGCM(key)

    def close(self, part: str, value: Any) -> bytes:  # noqa: ANN401 - any JSON-able value
        """Seal a JSON-able value."""
        return self.close_bytes(part, orjson.dumps(value))

    def open(self, part: str, sealed: bytes) -> Any:  # noqa: ANN401 - any JSON-able value
        """Open what `close` sealed for the same part."""
        return orjson.loads(self.open_bytes(part, sealed))

    def close_bytes(self, part: str, content: bytes) -> bytes:
        """Seal bytes as they are, such as a document's."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, self._place(part))

    def open_bytes(self, part: str, sealed: bytes) -> bytes:
        """Open what `close_bytes` sealed for the same part."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._place(part))

    def _place(self, part: str) -> bytes:
        return f"sealed_part|{self._id}|content|{part}".encode()


def _wrapping(referral_id: UUID, key_id: str) -> bytes:
    return f"referral|{referral_id}|wrapped_key|{key_id}".encode()
