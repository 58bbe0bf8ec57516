"""An organisation of a source may come to be known by its id in the registry."""

from relais_shared.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("""
        drop index organisation_of_source;
        create index organisation_of_source on organisation (source, record_id);
    """)


def downgrade() -> None:
    run_script("""
        drop index organisation_of_source;
        create unique index organisation_of_source on organisation (source, record_id);
    """)
