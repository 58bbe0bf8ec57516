"""What the door costs: a search through the gateway against the same search asked of the directory itself."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from joserfc.jwk import OKPKey

from relais_shared.auth import Actor, Keyring

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import compare, rate, report
from support.stack import Stack

TARGETS = [
    f"/v1/directory/search?postcode={postcode}&theme={theme}&limit=10".encode()
    for postcode in (6000, 6030, 6040, 6060, 6200)
    for theme in ("childcare", "mobility", "training", "support")
]


async def measured(stack: Stack) -> None:
    """Measure with a token that the gateway knows, and with an assertion that the directory knows."""
    client = stack.clients("directory:read")[0]
    outside = [(b"authorization", f"Bearer {stack.token(client)}".encode())]
    key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
    keyring = Keyring("gateway", key, {})
    actor = Actor("client", "client:bench", scopes=frozenset({"directory:read"}))

    async def through() -> float:
        return await rate(stack.base_url, TARGETS, outside)

    async def direct() -> float:
        # An assertion lives a minute: each round shows a fresh one.
        inside = [(b"authorization", f"Bearer {keyring.sign('directory', actor)}".encode())]
        return await rate(f"http://127.0.0.1:{stack.ports['directory']}", TARGETS, inside)

    report("gateway", [await compare("search through the gateway / direct (traced)", through, direct, 0.5)])


def main() -> None:
    """Start a whole Relais of its own, measure it."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Path(folder) / "home")
        try:
            asyncio.run(measured(stack))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
