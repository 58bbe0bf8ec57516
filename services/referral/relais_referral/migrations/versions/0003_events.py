"""Events that leave: the feed with its positions, the endpoints of organisations, and what is sent to them."""

from relais_shared.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The events that are there already get the number of this transaction: the first look of the sequencer finds them.
WRITTEN = """
alter table event add column written_in bigint not null default pg_current_xact_id()::text::bigint;
create index event_by_writing on event (written_in);
"""

TABLES = """
create table feed (
    position bigint primary key generated always as identity,
    id uuid not null unique,
    at timestamptz not null,
    subject_id uuid not null,
    practice boolean not null,
    referral_id uuid references referral (id),
    number integer,
    sender_id uuid,
    sender_type varchar,
    sender_sequence integer,
    recipient_id uuid,
    recipient_type varchar,
    recipient_sequence integer,
    organisation_id uuid,
    type varchar,
    constraint one_kind check (
        (referral_id is null) = (number is null) and (referral_id is null) = (sender_id is null)
        and (referral_id is null) = (recipient_id is null) and (referral_id is null) = (type is not null)
    )
);
create index feed_of_sender on feed (sender_id, position) where sender_id is not null;
create index feed_of_recipient on feed (recipient_id, position) where recipient_id is not null;
create index feed_of_others on feed (position) where sender_id is null;
create unique index feed_of_chain on feed (referral_id, number) where referral_id is not null;
create table sequencing (
    name varchar primary key,
    mark bigint not null,
    cursor varchar
);
create table service_seen (
    service_id uuid primary key,
    version integer not null,
    gone boolean not null,
    capacity_at timestamptz
);
create table webhook_endpoint (
    id uuid primary key,
    organisation_id uuid not null,
    version integer not null,
    url varchar not null,
    description varchar,
    types varchar[] not null,
    practice boolean not null,
    secrets bytea not null,
    created_at timestamptz not null,
    disabled_at timestamptz,
    disabled_reason varchar,
    rests_until timestamptz,
    failures integer not null,
    failing_since timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    constraint known_reason check (disabled_reason in ('by_owner', 'gone', 'failing')),
    constraint disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null))
);
create index endpoint_of_organisation on webhook_endpoint (organisation_id);
create table webhook_delivery (
    endpoint_id uuid not null references webhook_endpoint (id) on delete cascade,
    event_id uuid not null,
    organisation_id uuid not null,
    position bigint not null,
    type varchar not null,
    at timestamptz not null,
    subject_id uuid not null,
    referral_id uuid,
    sequence integer,
    practice boolean not null,
    state varchar not null,
    attempts integer not null,
    tries jsonb not null,
    next_at timestamptz,
    lease uuid,
    leased_until timestamptz,
    ended_at timestamptz,
    primary key (endpoint_id, event_id),
    constraint known_delivery check (state in ('waiting', 'delivered', 'set_aside', 'withheld')),
    constraint waiting_has_its_time check ((state = 'waiting') = (next_at is not null))
);
create index delivery_head on webhook_delivery (endpoint_id, subject_id, position) where state = 'waiting';
create index delivery_due on webhook_delivery (endpoint_id, next_at) where state = 'waiting';
create index delivery_log on webhook_delivery (endpoint_id, position);
"""

PRIVILEGES = """
revoke all on feed, sequencing, service_seen, webhook_endpoint, webhook_delivery from relais_referral;
grant select, insert, delete on feed to relais_referral;
grant select, insert, update on sequencing to relais_referral;
grant select, insert, update, delete on service_seen, webhook_endpoint, webhook_delivery to relais_referral;
"""

OWNERSHIP = """
alter table feed enable row level security, force row level security;
create policy parties on feed for select to relais_referral using (
    sender_id = asking_organisation()
    or recipient_id = asking_organisation()
    or (sender_id is null and (organisation_id is null or organisation_id = asking_organisation()))
    or asking_worker()
);
create policy worker on feed to relais_referral using (asking_worker()) with check (asking_worker());
alter table webhook_endpoint enable row level security, force row level security;
create policy owner on webhook_endpoint to relais_referral
    using (organisation_id = asking_organisation() or asking_worker());
alter table webhook_delivery enable row level security, force row level security;
create policy owner on webhook_delivery to relais_referral
    using (organisation_id = asking_organisation() or asking_worker());
create policy verifier on feed for select to current_user using (true);
create policy verifier on webhook_endpoint for select to current_user using (true);
create policy verifier on webhook_delivery for select to current_user using (true);
"""

# An event calls the sequencer when it commits, whoever wrote it; within a transaction once.
CALLING = """
create function call_sequencer() returns trigger language plpgsql as $$
begin
    notify relais_events;
    return null;
end $$;
create trigger call_sequencer after insert on event for each statement execute function call_sequencer();
"""


def upgrade() -> None:
    for script in (WRITTEN, TABLES, PRIVILEGES, OWNERSHIP, CALLING):
        run_script(script)


def downgrade() -> None:
    raise NotImplementedError("Positions that partners hold as cursors would be given a second time.")
