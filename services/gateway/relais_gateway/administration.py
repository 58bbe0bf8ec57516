"""Somebody always administers: the last who can cannot go, nor lose the role, however many try at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relais_gateway import account_store
from relais_gateway.actions import By
from relais_gateway.domain.refusals import LastAdministrator
from relais_gateway.store import Connection


@asynccontextmanager
async def keeping_administrators(connection: Connection, by: By) -> AsyncIterator[None]:
    """Hold, over a change of an organisation, that whoever could be administered before still can be after it.

    Changes of this kind wait for each other, in one order: two administrators who remove each other at once cannot
    both succeed. What was changed inside is undone with the transaction.

    Raises:
        LastAdministrator: Nobody would administer the organisation, or nobody would run the platform.
    """
    await account_store.hold_administration(connection, by.organisation_id)
    today = by.now.date()
    before = await account_store.administrators(connection, by.organisation_id, today)
    yield
    after = await account_store.administrators(connection, by.organisation_id, today)
    if before.own and not after.own:
        raise LastAdministrator("Nobody would administer the organisation any more: make another administrator first.")
    if before.operators and not after.operators:
        raise LastAdministrator("Nobody would run the platform any more: make another administrator first.")
    if before.lasting and not after.lasting:
        # The day would come by itself, and with it nobody who could put it off.
        raise LastAdministrator(
            "Nobody would run the platform after that day: grant it to another without an end first."
        )
