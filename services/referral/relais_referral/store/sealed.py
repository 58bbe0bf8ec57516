"""Every query of what is hers, sealed."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import String, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.models.referrals import SealedPart
from relais_shared.reading import Reading


async def parts(tx: AsyncSession, referral_id: UUID, parts: Iterable[str]) -> dict[str, bytes]:
    """Answer the sealed parts of a referral, still sealed."""
    wanted = list(parts)
    if not wanted:
        return {}
    if any(isinstance(each, SealedPart) for each in (*tx.new, *tx.dirty, *tx.deleted)):
        await tx.flush()
    # What else a step changed is written once, when its transaction ends.
    return {row[0]: row[1] for row in await _SEALED.rows(tx, referral=referral_id, parts=wanted)}


_SEALED: Final = Reading(
    select(col(SealedPart.part), col(SealedPart.content)).where(
        col(SealedPart.referral_id) == bindparam("referral"),
        col(SealedPart.part) == any_(bindparam("parts", type_=ARRAY(String))),
    )
)


async def seal(tx: AsyncSession, referral_id: UUID, part: str, content: bytes | None, *, new: bool = False) -> None:
    """Keep a sealed part in place of what was there; None removes it.

    Args:
        tx: Writing.
        referral_id: The referral.
        part: Which part.
        content: Sealed.
        new: The referral was made in this transaction: nothing can be there.
    """
    row = None if new else await tx.get(SealedPart, (referral_id, part))
    if content is None:
        if row is not None:
            await tx.delete(row)
    elif row is None:
        tx.add(SealedPart(referral_id=referral_id, part=part, content=content))
    else:
        row.content = content
