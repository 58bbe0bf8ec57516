"""What only our services ask: the registry of organisations."""

from typing import Annotated

from fastapi import Request

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
