"""The trace that each event happened in, beside the chain: a webhook goes on with it."""

from relais_shared.migrations import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("alter table event add column traceparent varchar;")


def downgrade() -> None:
    run_script("alter table event drop column traceparent;")
