"""Alembic's way in: the shared runner over this service's tables."""

from relais_gateway.models import Table
from relais_shared.migrations import run

run(Table.metadata)
