"""What the routes ask for: who acts as what, the keys, the directory."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import actions, store
from relais_referral.actions import Asked
from relais_referral.directory import Directory
from relais_referral.domain.handshake import Action
from relais_referral.models import Idempotency
from relais_referral.schemas import ReferralView
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.http import etag
from relais_shared.idempotency import Keyed, OptionalKey, Replay, recall, remember

MaySend = Annotated[Actor, requires("referral:send")]
"""A sender."""
MayReceive = Annotated[Actor, requires("referral:receive")]
"""A recipient."""
Either = Annotated[Actor, requires("referral:send", "referral:receive")]
"""A party of either side."""


def asked(request: Request, actor: Actor, now: Now) -> Asked:
    """Answer who asks, when, with the keys that open what they may read."""
    return Asked(actor, now, request.app.state.sealer)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the handshake: the referral that it is for, its transaction and its key."""

    request: Request
    response: Response
    referral_id: UUID
    tx: AsyncSession
    now: datetime
    key: Keyed | None

    async def take(
        self, action: Action, actor: Actor, body: actions.Body = None, *, version: str | None
    ) -> ReferralView:
        """Take the step, once for each key, and answer what the actor may then see."""
        who = asked(self.request, actor, self.now)
        if self.key is not None:
            await store.begin(self.tx, actor)
            if await recall(self.tx, Idempotency, self.key, who.organisation_id, self.now) is not None:
                return told(self.response, await actions.read(self.tx, who, self.referral_id))
            done = Replay(200, self.referral_id)
            remember(self.tx, Idempotency, self.key, who.organisation_id, self.now, done=done)
        return told(self.response, await actions.take(self.tx, who, self.referral_id, action, body, version))


def _step(request: Request, response: Response, referral_id: UUID, tx: WriteTx, now: Now, key: OptionalKey) -> Step:
    return Step(request, response, referral_id, tx, now, key)


AStep = Annotated[Step, Depends(_step, scope="function")]
"""A step that stands or falls with its transaction."""


def told(response: Response, shown: actions.Shown) -> ReferralView:
    """Answer a representation with its version; it is nobody's to keep."""
    response.headers["ETag"] = etag(shown.version)
    response.headers["Cache-Control"] = "no-store"
    return shown.view


def _directory(request: Request) -> Directory:
    directory: Directory = request.app.state.directory
    return directory


FromDirectory = Annotated[Directory, Depends(_directory)]
"""The directory, asked before any transaction opens."""
