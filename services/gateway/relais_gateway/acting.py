"""Who acts: whom a token names, with the scopes that are granted at this moment, and for whom."""

from datetime import date
from typing import Final
from uuid import UUID

from starlette.types import Scope

from relais_gateway.callers import ON_BEHALF_OF, SAID, fits
from relais_gateway.domain.routing import OWN, Operation
from relais_gateway.live import State
from relais_gateway.signing import Claims, unknown
from relais_shared.auth import Actor
from relais_shared.refusals import MalformedRequest, ScopeMissing

LONGEST_REFERENCE: Final = 100
"""Characters of the name of a human whom a partner's system acts for: room for any system's own id of a user."""


def actor_of(  # noqa: PLR0913 - what is judged, and the two days on which
    claims: Claims, state: State, operation: Operation, scope: Scope, today: date, local: date
) -> Actor:
    """Answer who acts, with what is granted on a day of UTC, and for whom on a day of the clocks on the wall.

    Raises:
        MalformedRequest: A partner's system names the human that it acts for in no way we take.
        Unauthenticated: The client, the person or the organisation is no longer there.
        ScopeMissing: None of the operation's scopes is held now.
    """
    member = state.members.get(claims.organisation_id)
    kind, _, id_ = claims.subject.partition(":")
    may: frozenset[str] = frozenset()
    account = None
    if kind == "user":
        account = state.accounts.get(UUID(id_))
        there = account is not None and account.organisation_id == claims.organisation_id
        may = account.scopes if account else may
    else:
        client = state.clients.get(claims.client_id)
        there = client is not None and fits(client, claims, state)
        may = client.scopes if client else may
    if member is None or not member.active or not there:
        raise unknown()
    held = member.held(today)
    scopes = claims.scopes.intersection(may, held)
    if not scopes & operation.scopes:
        wanted = " ".join(sorted(operation.scopes))
        raise ScopeMissing(
            "Your organisation, or this token, does not hold the scope that this needs.",
            scopes=sorted(operation.scopes),
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'},
        )
    return Actor(
        kind="user" if account else "client",
        id=claims.subject,
        organisation_id=member.id,
        organisation=member.name,
        scopes=scopes,
        user_id=account.id if account else None,
        name=account.name if account else "",
        teams=account.teams if account else (),
        leads=account.leads if account else (),
        stands_for=account.stands_for(local) if account else (),
        on_behalf_of=None if account else _on_behalf_of(scope),
        limits={name: dict(held[name].limits) for name in sorted(scopes) if held[name].limits},
        issuer=OWN,
    )


def _on_behalf_of(scope: Scope) -> str | None:
    """Answer its own word for the human whom a partner's system acts for, where it gives one.

    Raises:
        MalformedRequest: It stands twice, is empty, too long, or holds what cannot be printed.
    """
    given = scope[SAID].get(ON_BEHALF_OF)
    if not given:
        return None
    try:
        reference: str = given[0].decode().strip()
    except UnicodeDecodeError:
        reference = ""
    if len(given) > 1 or not 1 <= len(reference) <= LONGEST_REFERENCE or not reference.isprintable():
        raise MalformedRequest(f"Relais-On-Behalf-Of takes 1 to {LONGEST_REFERENCE} printable characters (UTF-8).")
    return reference
