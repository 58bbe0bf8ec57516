"""The nearest municipality is found in memory: the index for it took two seconds of a first start."""

from relais_shared.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("drop index place_by_position")


def downgrade() -> None:
    run_script("create index place_by_position on place using gist (position)")
