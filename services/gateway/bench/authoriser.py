"""What nginx asks with `auth_request`: the door's own judgement and assertion, and nothing forwarded.

Below `/asked` stands an authoriser as one usually writes it, a FastAPI route; everywhere else the door itself answers,
where it would forward. Both do the same work of authorising, with the same caches.
"""

from typing import Any

from fastapi import Request, Response

from relais_gateway.app import create_app
from relais_gateway.domain.routing import Operation
from relais_gateway.forwarder import Door
from relais_gateway.settings import GatewaySettings
from relais_shared import service
from relais_shared.auth import Actor

ASSERTION = "relais-assertion"
"""The header of the answer that nginx hands on."""


def main() -> None:
    """Serve until terminated."""

    async def said(door: Door, operation: Operation, actor: Actor, *rest: Any) -> None:  # noqa: ANN401 - ASGI's three, and what was sent
        send = rest[2]
        assertion = door._keyring.sign(operation.upstream, actor)  # noqa: SLF001 - as the door makes it
        headers = [(ASSERTION.encode(), assertion.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    Door._forward = said  # type: ignore[assignment]  # noqa: SLF001 - in place of forwarding
    Door.at_once = None  # type: ignore[assignment,method-assign]  # the same
    settings = GatewaySettings.load()
    door = create_app(settings)

    @door._app.get("/asked/{path:path}")  # noqa: SLF001 - its own app
    async def asked(request: Request, path: str) -> Response:
        operation = door.operation(request.method, f"/{path}")
        assert operation is not None
        judged = await door.admit(operation, request.scope, None)
        assertion = door._keyring.sign(operation.upstream, judged.actor)  # noqa: SLF001 - as the door makes it
        return Response(status_code=204, headers={ASSERTION: assertion})

    service.serve(door, settings)


if __name__ == "__main__":
    main()
