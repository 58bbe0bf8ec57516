"""Reflection: what was noted of closed hand-overs as it is counted, and what is told of each quarter."""

from relais_shared.migrations import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
create table reflection_ballot (
    id uuid primary key,
    quarter date not null,
    person uuid not null,
    organisation_id uuid not null,
    criteria varchar not null,
    held varchar[] not null,
    others varchar[] not null
);
create index ix_reflection_ballot_quarter on reflection_ballot (quarter);
create table reflection_period (
    since date not null,
    before date not null,
    counted_at timestamptz not null,
    told jsonb,
    primary key (since, before)
);
create index event_of_closing on event (at) where type = 'referral.closed';
"""

PRIVILEGES = """
revoke all on reflection_ballot, reflection_period from relais_referral;
grant select, insert, delete on reflection_ballot, reflection_period to relais_referral;
"""

# What is told tells of nobody: whoever the app lets ask may read it. What it was counted from is the worker's alone.
OWNERSHIP = """
alter table reflection_ballot enable row level security, force row level security;
create policy worker on reflection_ballot to relais_referral using (asking_worker());
create policy verifier on reflection_ballot for select to current_user using (true);
alter table reflection_period enable row level security, force row level security;
create policy everybody on reflection_period for select to relais_referral using (true);
create policy worker on reflection_period to relais_referral using (asking_worker());
create policy verifier on reflection_period for select to current_user using (true);
"""


def upgrade() -> None:
    for script in (TABLES, PRIVILEGES, OWNERSHIP):
        run_script(script)


def downgrade() -> None:
    run_script("""
        drop table reflection_ballot, reflection_period;
        drop index event_of_closing;
    """)
