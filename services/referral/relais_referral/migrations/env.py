"""Alembic's way in: the shared runner."""

from relais_shared.migrations import run

run()
