"""A trace that a partner began has a root outside: what the list shows is the span where it came in."""

from relais_shared.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("""
        alter table span add column entry boolean not null default false;
        update span set entry = true where parent_span_id is null;
        alter table span alter column entry drop default;
        drop index root_span_by_time;
        create index entry_by_time on span (started_at) where entry;
    """)


def downgrade() -> None:
    run_script("""
        drop index entry_by_time;
        create index root_span_by_time on span (started_at) where parent_span_id is null;
        alter table span drop column entry;
    """)
