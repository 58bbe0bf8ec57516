"""E-mail to counsellors: notices that wait, and what was chosen for an address. No address is kept."""

from relais_shared.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
create table mail (
    event_id uuid not null,
    party varchar not null,
    mailbox bytea not null,
    referral_id uuid not null references referral (id),
    organisation_id uuid not null,
    at timestamptz not null,
    state varchar not null,
    attempts integer not null,
    next_at timestamptz,
    leased_until timestamptz,
    account_id uuid,
    letter uuid,
    primary key (event_id, party, mailbox),
    constraint known_mail check (state in ('waiting', 'sent', 'dropped', 'failed', 'bounced')),
    constraint waiting_has_its_time check ((state = 'waiting') = (next_at is not null))
);
create index ix_mail_referral_id on mail (referral_id);
create index mail_due on mail (next_at) where state = 'waiting';
create index mail_of_letter on mail (letter);
create table mailbox (
    hash bytea primary key,
    mode varchar not null,
    quiet_from time not null,
    quiet_until time not null,
    bounced_at timestamptz,
    constraint known_mode check (mode in ('at_once', 'daily', 'never'))
);
"""

PRIVILEGES = """
revoke all on mail, mailbox from relais_referral;
grant select, insert, update, delete on mail, mailbox to relais_referral;
"""

OWNERSHIP = """
alter table mail enable row level security, force row level security;
create policy worker on mail to relais_referral using (asking_worker());
create policy verifier on mail for select to current_user using (true);
alter table mailbox enable row level security, force row level security;
create policy worker on mailbox to relais_referral using (asking_worker());
create policy verifier on mailbox for select to current_user using (true);
"""


def upgrade() -> None:
    for script in (TABLES, PRIVILEGES, OWNERSHIP):
        run_script(script)


def downgrade() -> None:
    run_script("drop table mail, mailbox;")
