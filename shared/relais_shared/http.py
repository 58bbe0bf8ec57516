"""What travels in headers and cursors: versions as ETags, opaque signed cursors."""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, TypeVar, get_origin
from urllib.parse import parse_qsl, quote, unquote

import orjson
from fastapi import Depends, Header, Request
from pydantic import BaseModel, ValidationError

from relais_shared.refusals import Fault, InvalidInput, MalformedRequest, VersionRequired, reason

SIGNATURE_BYTES = 16
"""Half of SHA-256 is more than anyone can guess, and keeps cursors short."""


def etag(version: int | str) -> str:
    """Answer the strong ETag of a version."""
    return f'"{version}"'


_ETAG = r'(W/)?"[^"\x00-\x1f\x7f]*"'


IfMatchHeader = Annotated[
    str | None, Header(description="The ETag that was read.", json_schema_extra={"pattern": f"^{_ETAG}$"})
]
"""The header If-Match as it came, for a dependency that reads several; the parameter is called `if_match`."""


def version_in(if_match: str | None) -> str:
    """Answer the ETag's text in a header If-Match.

    Raises:
        VersionRequired: There is none.
        MalformedRequest: It is no ETag, or several.
    """
    if if_match is None:
        raise VersionRequired("Read it first, then send its ETag as If-Match.")
    found = re.fullmatch(r'(?:W/)?"([^"]*)"|\*', if_match.strip())
    if found is None or found[1] is None:
        raise MalformedRequest('If-Match takes one ETag in quotes, as in "3".')
    return found[1]


async def _if_match(if_match: IfMatchHeader = None) -> str:
    return version_in(if_match)


IfMatch = Annotated[str, Depends(_if_match)]
"""The ETag's text of the version that the caller read; 428 without, 400 when it is no ETag."""


class CursorCodec:
    """Makes opaque cursors that only we can make: what they hold is signed, and bound to one list.

    Args:
        secret: The service's secret.
        purpose: Which list; a cursor of another list is refused.
    """

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, b"cursor:" + purpose.encode(), sha256)

    def encode(self, position: Any) -> str:  # noqa: ANN401 - any JSON-able position
        """Answer the cursor of a position (any JSON-able value)."""
        body = orjson.dumps(position)
        mark = hmac.digest(self._key, body, sha256)[:SIGNATURE_BYTES]
        return urlsafe_b64encode(mark + body).rstrip(b"=").decode()

    def decode(self, cursor: str, parameter: str = "cursor") -> Any:  # noqa: ANN401 - any JSON-able position
        """Answer the position that a cursor holds.

        Raises:
            InvalidInput: Not one of our cursors, or of another list.
        """
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (NotBase64, ValueError):
            raw = b""
        mark, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(mark, hmac.digest(self._key, body, sha256)[:SIGNATURE_BYTES]):
            raise InvalidInput(
                "This cursor is not of this list.",
                [Fault(f"?{parameter}", "Take it as it stood in next_cursor, with the same parameters.")],
            )
        return orjson.loads(body)


def next_link(request: Request, cursor: str) -> str:
    """Answer the `Link` header that leads to the next page; a path, since the gateway's name is not ours."""
    asked = request.scope["query_string"].decode("latin-1")
    kept = [one for one in asked.split("&") if one and unquote(one.partition("=")[0]) != "cursor"]
    # Only these two could end the address before its end.
    query = "&".join((*kept, f"cursor={cursor}")).replace("<", "%3C").replace(">", "%3E")
    return f'<{quote(request.scope["path"])}?{query}>; rel="next"'


M = TypeVar("M", bound=BaseModel)


def parameters_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Answer the OpenAPI parameters of a model that `read_parameters` reads from a query."""
    schema = model.model_json_schema()
    assert "$defs" not in schema, model  # noqa: S101 - a parameter's schema stands where it is used
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            **({"description": told} if (told := one.get("description")) else {}),
            "schema": {key: value for key, value in one.items() if key not in {"title", "description"}},
        }
        for name, one in schema["properties"].items()
    ]


def read_parameters(request: Request, model: type[M]) -> M:
    """Answer the parameters of a query as a model; a list's may stand several times, any other once.

    Raises:
        InvalidInput: Every fault is named, unknown parameters too.
    """
    given: dict[str, Any] = {}
    faults = []
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name in _lists(model):
            given.setdefault(name, []).append(value)
        elif name in given:
            faults.append(Fault(f"?{name}", "Give it once."))
        else:
            given[name] = value
    try:
        found = model.model_validate(given)
    except ValidationError as fault:
        faults += [
            Fault("?" + ".".join(map(str, one["loc"])) if one["loc"] else "", reason(one))
            for one in fault.errors(include_input=False, include_url=False)
        ]
    if faults:
        raise InvalidInput.of(*faults)
    return found


@cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if get_origin(field.annotation) is list)
