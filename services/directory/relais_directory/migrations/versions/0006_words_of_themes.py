"""What words mean is looked for within the themes asked for: one index of both leaves out all other cards unread."""

from relais_shared.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("drop index card_by_words;\ncreate index card_by_words on card using gin (document, themes)")


def downgrade() -> None:
    run_script("drop index card_by_words;\ncreate index card_by_words on card using gin (document)")
