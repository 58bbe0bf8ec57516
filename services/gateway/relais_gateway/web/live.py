"""What happens, told to an open page: the API's own stream, for as long as a page's token lives."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relais_gateway.callers import ASKED
from relais_gateway.web.session import Visitor, Watching
from relais_gateway.web.site import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STREAM_FOR_S: Final = 50.0
"""A page's token lives for 60 s: the stream ends before it, at the end of an event, and the browser comes back."""

TYPES: Final = (
    "referral.proposed", "referral.received", "referral.accepted", "referral.declined", "referral.meeting_planned",
    "referral.meeting_replanned", "referral.handed_over", "referral.closed", "referral.cancelled",
    "referral.withdrawn", "referral.paused", "referral.resumed", "referral.reopened", "referral.redirected",
    "referral.message", "referral.ended", "consent.given", "consent.withdrawn",
)  # fmt: skip
"""What changes a list of threads. An event says that something moved, and which thread; nothing of anybody."""


@router.get("/relais/nouvelles")
async def news(request: Request, visitor: Watching) -> Response:
    """Tell an open page what happens, as it happens (server-sent events).

    Nobody signed in: 204, by which a browser stops asking.
    """
    if visitor is None:
        return Response(status_code=204)
    return _Relayed(request, visitor)


class _Relayed(Response):
    """The API's stream of events, with the rights of the person signed in.

    It enters by the gateway's own door as every call of a page does, but as ASGI: a client would wait for the end of
    an answer that has none.
    """

    def __init__(self, request: Request, visitor: Visitor) -> None:
        super().__init__()
        self._door: ASGIApp = getattr(request.app.state, "door", request.app)
        asked = [("type", name) for name in TYPES] + ([("practice", "true")] if visitor.practice else [])
        self._query = urlencode(asked).encode()
        self._asking = [(b"authorization", f"Bearer {visitor.token}".encode()), (b"accept", b"text/event-stream")]
        last = request.headers.get("last-event-id")
        if last is not None:
            self._asking.append((b"last-event-id", last.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the stream on as it comes, until it ends or its time is over."""
        begun = ended = False

        async def tell(message: Message) -> None:
            nonlocal begun, ended
            begun = begun or message["type"] == "http.response.start"
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            async with asyncio.timeout(STREAM_FOR_S):
                await self._door(self._inside(scope), receive, tell)
        except TimeoutError:
            if begun and not ended:
                await send({"type": "http.response.body", "body": b""})

    def _inside(self, scope: Scope) -> MutableMapping[str, Any]:
        known = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path")
        path = "/v1/events/stream"
        return {
            **{name: scope[name] for name in known if name in scope},
            # Asked by HEAD, the door ends it with its head.
            "method": scope.get(ASKED, "GET"),
            "path": path,
            "raw_path": path.encode(),
            "query_string": self._query,
            "headers": self._asking,
        }
