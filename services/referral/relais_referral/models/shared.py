"""The tables that every service has."""

from relais_referral.models.table import Table
from relais_shared.idempotency import IdempotencyColumns
from relais_shared.registry import OrganisationCopyColumns


class Idempotency(IdempotencyColumns, Table, table=True):
    """The keys of the last 24 hours."""


class OrganisationCopy(OrganisationCopyColumns, Table, table=True):
    """The registry's organisations as last heard."""

    __tablename__ = "organisation"
