"""Exports: the whole directory, or a part of it, in the formats that others read; streamed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from relais_directory import store
from relais_directory.data import themes
from relais_directory.formats.exporting import MEDIA, Row, written
from relais_directory.routes.dependencies import MayRead
from relais_shared import problems
from relais_shared.refusals import Fault, InvalidInput, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory: exports"])

ENDINGS = {
    "hsds": "json", "hsds-ndjson": "ndjson", "data-inclusion": "json", "csv": "csv", "geojson": "geojson",
    "canonical": "jsonl",
}  # fmt: skip


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file, as it is made.",
            "content": {kind.partition(";")[0]: {"schema": {}} for kind in dict.fromkeys(MEDIA.values())},
        },
        **problems.responses(InvalidInput, Unauthenticated, ScopeMissing, Unavailable),
    },
)
async def export(
    request: Request,
    _actor: MayRead,
    format: Annotated[  # noqa: A002 - the parameter's name for callers
        Literal["hsds", "hsds-ndjson", "data-inclusion", "csv", "geojson", "canonical"], Query()
    ] = "hsds",
    organisation_id: UUID | None = None,
    theme: str | None = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
) -> StreamingResponse:
    """Export the directory: `hsds` (compiled 3.1 services), `data-inclusion` (v1), `csv`, `geojson`, `canonical`.

    Relay contacts, drafts and retired entries stay here; a confidential place leaves as its municipality alone. What is
    exported as `hsds` or `canonical` and imported into an empty directory makes the same entries again.
    """
    if theme is not None and theme not in themes():
        raise InvalidInput("1 fault.", [Fault("?theme", "Not among /v1/directory/themes.")])

    async def rows() -> AsyncGenerator[Row, None]:
        async with (
            request.app.state.pool.acquire() as connection,
            aclosing(store.exported(connection, organisation_id, theme, source)) as found,
        ):
            async for row in found:
                yield row

    return StreamingResponse(
        written(rows(), format),
        media_type=MEDIA[format],
        headers={"Content-Disposition": f'attachment; filename="relais-directory.{ENDINGS[format]}"'},
    )
