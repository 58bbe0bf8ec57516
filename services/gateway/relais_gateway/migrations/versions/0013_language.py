"""The language in which somebody reads the pages, for her letters."""

from relais_shared.migrations import run_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("alter table account add column language varchar;")


def downgrade() -> None:
    run_script("alter table account drop column language;")
