"""The public API as a page calls it: in this process, through the gateway's own door, as the person signed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from relais_shared.client import Client, TransportError

Json = dict[str, Any]
Params = Mapping[str, str | int | float | list[str]]

UNAVAILABLE = 503
UNREADABLE = 502


class ApiProblem(Exception):  # noqa: N818 - named after the problem document that it carries
    """The API said no.

    Attributes:
        status: Of the answer.
        slug: End of the problem's `type`, as `stale-version`.
        faults: Pointer and text of each input at fault.
        trace_id: What the technical team searches by; empty where there is none.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.slug = str(document.get("type") or "").rpartition("/")[2]
        self.trace_id = str(document.get("trace_id") or "")
        self.faults = [
            (str(each.get("pointer") or ""), str(each.get("detail") or "")) for each in document.get("errors") or ()
        ]
        super().__init__(f"{status} {self.slug}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: its JSON, the version of what it shows (the text of its `ETag`), what it made where."""

    body: Json = field(repr=False)
    version: str = ""
    location: str = ""


class Api:
    """The API for one page, with the rights of one access token.

    Args:
        client: Toward the gateway's own door.
        token: Of the counsellor's session; empty where somebody shows something else.
        shown: Headers that say who asks, instead of the token: the session of a person or a guest.
    """

    def __init__(self, client: Client, token: str = "", shown: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._shown = shown if shown is not None else {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, params: Params | None = None) -> Answer:
        """Read.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("GET", path, params=params)

    async def post(self, path: str, body: Json | None, *, version: str | None = None, key: str | None = None) -> Answer:
        """Do something.

        Args:
            path: Of the operation.
            body: As JSON; None where the operation may come without one.
            version: What was read, for `If-Match`.
            key: For `Idempotency-Key`: the same one when the same form comes twice.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("POST", path, body=body, version=version, key=key)

    async def patch(self, path: str, body: Json, *, version: str | None = None) -> Answer:
        """Change what stands.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("PATCH", path, body=body, version=version)

    async def put(self, path: str, body: Json, *, version: str | None = None) -> Answer:
        """Write something whole.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("PUT", path, body=body, version=version)

    async def delete(self, path: str, *, version: str | None = None) -> Answer:
        """Take something away.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("DELETE", path, version=version)

    async def upload(self, path: str, block: bytes, offset: int) -> Answer:
        """Send a block of a file that was announced.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        return await self._send("PATCH", path, block=block, offset=offset)

    async def attach(self, path: str, content: bytes, kind: str, title: str) -> Answer:
        """Add a document.

        Args:
            path: Where documents are added.
            content: Its bytes.
            kind: Its media type.
            title: What it is called, in any letters.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        # RFC 8187: letters beyond ASCII travel percent-encoded.
        named = f"attachment; filename*=UTF-8''{segment(title)}"
        headers = {"Content-Type": kind, "Content-Disposition": named}
        return await self._send("POST", path, block=content, headers=headers)

    async def file(self, path: str) -> tuple[bytes, str]:
        """Answer the bytes and the media type of what is no JSON: a document, a paper, a calendar.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        try:
            answer = await self._client.get(path, headers=self._shown)
        except TransportError:
            raise ApiProblem(UNAVAILABLE, {"type": "/problems/unavailable"}) from None
        if not answer.is_success:
            raise ApiProblem(answer.status_code, {})
        return answer.content, answer.headers.get("content-type", "application/octet-stream")

    async def paper(self, path: str, body: Json) -> bytes:
        """Answer a paper that is printed from what is sent, as a PDF.

        Raises:
            ApiProblem: The API said no, or did not answer.
        """
        try:
            answer = await self._client.post(path, json=body, headers={**self._shown, "Accept": "application/pdf"})
        except TransportError:
            raise ApiProblem(UNAVAILABLE, {"type": "/problems/unavailable"}) from None
        if not answer.is_success:
            raise ApiProblem(answer.status_code, {})
        return answer.content

    async def _send(  # noqa: PLR0913 - the parts of a request, each by name
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Json | None = None,
        version: str | None = None,
        key: str | None = None,
        block: bytes | None = None,
        offset: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {**self._shown, "Accept": "application/json", **(headers or {})}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        if key is not None:
            headers["Idempotency-Key"] = f'"{key}"'
        if offset is not None:
            headers |= {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"}
        try:
            answer = await self._client.request(method, path, params=params, json=body, content=block, headers=headers)
        except TransportError:
            raise ApiProblem(UNAVAILABLE, {"type": "/problems/unavailable"}) from None
        try:
            document = answer.json() if answer.content else {}
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ApiProblem(UNREADABLE, {})
        if not answer.is_success:
            raise ApiProblem(answer.status_code, document)
        version = answer.headers.get("etag", "").removeprefix("W/").strip('"')
        return Answer(document, version, answer.headers.get("location", ""))


def segment(text: str) -> str:
    """Answer a text as one segment of a path."""
    return quote(text, safe="")
