"""Her municipality by name, and what is told of it before somebody takes over."""

from relais_shared.migrations import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("""
        alter table referral add column area_name varchar, add column wide_area varchar;
    """)


def downgrade() -> None:
    run_script("""
        alter table referral drop column area_name, drop column wide_area;
    """)
