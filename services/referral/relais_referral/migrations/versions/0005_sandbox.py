"""The sandbox: its rehearsals are found without looking at any other referral."""

from relais_shared.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("create index referral_rehearsed on referral (updated_at) where practice;")


def downgrade() -> None:
    run_script("drop index referral_rehearsed;")
