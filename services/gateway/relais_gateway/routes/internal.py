"""What only our services ask: the registry of organisations."""

from typing import Annotated, Any

from fastapi import Request

from relais_gateway import store
from relais_gateway.domain.scopes import OF_ROLE
from relais_shared.auth import Actor, from_service
from relais_shared.registry import Snapshot
from relais_shared.service import Router

router = Router(include_in_schema=False)


@router.get("/internal/registry")
async def registry(request: Request, _caller: Annotated[Actor, from_service("directory", "referral")]) -> Snapshot:
    """Answer the whole registry at one version."""
    await request.app.state.live.now()
    found: Snapshot = request.app.state.live.snapshot()
    return found


@router.get("/internal/colleagues")
async def colleagues(request: Request, _caller: Annotated[Actor, from_service("referral")]) -> dict[str, Any]:
    """Answer everybody who signs in, with what e-mail needs to know: where, in which teams, away until when."""
    async with request.app.state.pool.acquire() as connection:
        rows = await store.mailboxes(connection)
    items = [
        {
            "id": row["id"],
            "organisation_id": row["organisation_id"],
            "email": row["email"],
            "receives": any("referral:receive" in OF_ROLE.get(role, ()) for role in row["roles"]),
            "teams": row["teams"],
            "leads": row["leads"],
            "deputy_id": row["deputy_id"],
            "begins_on": row["begins_on"],
            "ends_on": row["ends_on"],
            "language": row["language"],
        }
        for row in rows
    ]
    return {"items": items}
