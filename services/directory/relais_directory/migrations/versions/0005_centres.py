"""Whether an entry stands at the very point of a place is asked of thousands at once: an index for being equal."""

from relais_shared.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("drop index if exists place_by_position;\ncreate index place_by_position on place (position)")


def downgrade() -> None:
    run_script("drop index place_by_position")
