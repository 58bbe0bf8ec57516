"""The keys that services sign their calls with, made once; and how a file for its owner alone is written."""

import json
import os
from pathlib import Path


def make_keys(folder: Path, services: tuple[str, ...] = ("gateway", "directory", "referral")) -> None:
    """Write a signing key for each service and their public key set, where absent; owner-readable only.

    A key's id is `<service>:<thumbprint>`.
    """
    from joserfc.jwk import OKPKey  # noqa: PLC0415 - a tenth of a second of imports, once in a life

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = []
    for service in services:
        path = folder / f"{service}.jwk"
        if not path.exists():
            key = OKPKey.generate_key("Ed25519")
            kid = f"{service}:{key.thumbprint()[:16]}"
            write_private(path, json.dumps({**key.as_dict(private=True), "kid": kid}))
        key = OKPKey.import_key(json.loads(path.read_text()))
        public.append(key.as_dict(private=False))
    write_private(folder / "internal.jwks.json", json.dumps({"keys": public}, indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads: whole or not at all, also when the power fails."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
