"""The referral app's tables, who may do what with them, and what the database refuses to everybody."""

from relais_shared.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
create table organisation (
    id uuid primary key,
    version integer not null,
    facts jsonb not null
);
create table idempotency (
    organisation_id uuid not null,
    route varchar not null,
    key varchar(255) not null,
    fingerprint bytea not null,
    status integer not null,
    resource_id uuid not null,
    created_at timestamptz not null,
    primary key (organisation_id, route, key)
);
create table referral (
    id uuid primary key,
    short_code varchar not null unique,
    state varchar not null,
    version integer not null,
    neutral_version integer not null,
    sender_id uuid not null,
    sender_name varchar not null,
    sender_may_sanction boolean not null,
    recipient_id uuid not null,
    recipient_name varchar not null,
    service_id uuid not null,
    service_name varchar not null,
    relay_contact_id uuid,
    practice boolean not null,
    sensitive boolean not null,
    themes varchar[] not null,
    languages varchar[] not null,
    municipality varchar not null,
    postcode varchar,
    urgency varchar not null,
    sender_counsellor jsonb not null,
    recipient_counsellor jsonb,
    confirmations jsonb not null,
    decline_reason varchar,
    outcome varchar,
    key_id varchar not null,
    wrapped_key bytea not null,
    event_count integer not null,
    event_head bytea not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    noticed_at timestamptz not null,
    constraint known_state check (state in (
        'draft', 'proposed', 'received', 'accepted', 'meeting_planned',
        'handed_over', 'closed', 'declined', 'cancelled', 'withdrawn'
    ))
);
create index referral_of_sender on referral (sender_id, updated_at, id);
create index referral_of_recipient on referral (recipient_id, updated_at, id);
create table sealed_part (
    referral_id uuid not null references referral (id),
    part varchar not null,
    content bytea not null,
    primary key (referral_id, part)
);
create table consent (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    recipient_id uuid not null,
    service_id uuid not null,
    purposes varchar[] not null,
    data_categories varchar[] not null,
    valid_until timestamptz,
    given_at timestamptz not null,
    recorded_at timestamptz not null,
    record jsonb not null
);
create index ix_consent_referral_id on consent (referral_id);
create table consent_state (
    consent_id uuid primary key references consent (id),
    referral_id uuid not null references referral (id),
    status varchar not null,
    changed_at timestamptz not null,
    withdrawal_method varchar,
    superseded_by uuid,
    history jsonb not null,
    constraint known_status check (status in (
        'requested', 'given', 'refused', 'withdrawn', 'expired', 'superseded'
    ))
);
create index ix_consent_state_referral_id on consent_state (referral_id);
create unique index one_consent_in_force on consent_state (referral_id) where status = 'given';
create table disclosure (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    at timestamptz not null,
    actor varchar not null,
    on_behalf_of varchar,
    organisation_id uuid,
    categories varchar[] not null,
    consent_id uuid,
    trace_id varchar not null
);
create index ix_disclosure_referral_id on disclosure (referral_id);
create table event (
    referral_id uuid not null references referral (id),
    number integer not null,
    at timestamptz not null,
    type varchar not null,
    actor varchar not null,
    organisation_id uuid,
    data jsonb not null,
    previous bytea not null,
    hash bytea not null,
    primary key (referral_id, number)
);
"""

# Whoever set the database up may have given the service more by default: it holds what stands here.
PRIVILEGES = """
revoke all on all tables in schema public from relais_referral;
grant select, insert, delete on organisation, idempotency to relais_referral;
grant select, insert, update on referral, consent_state to relais_referral;
grant select, insert, update, delete on sealed_part to relais_referral;
grant select, insert on consent, disclosure, event to relais_referral;
grant select on alembic_version to relais_referral;
"""

APPEND_ONLY = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end $$;
create trigger append_only before update or delete on consent
    for each row execute function refuse_change();
create trigger append_only before update or delete on disclosure
    for each row execute function refuse_change();
create trigger append_only before update or delete on event
    for each row execute function refuse_change();
create function refuse_truncate() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end $$;
create trigger append_only_whole before truncate on consent execute function refuse_truncate();
create trigger append_only_whole before truncate on disclosure execute function refuse_truncate();
create trigger append_only_whole before truncate on event execute function refuse_truncate();
"""

# The organisation of the request stands in a setting of its transaction; without it nothing is there.
OWNERSHIP = """
create function asking_organisation() returns uuid language sql stable as
    $$ select nullif(current_setting('relais.organisation', true), '')::uuid $$;
alter table referral enable row level security, force row level security;
create policy parties on referral to relais_referral using (
    sender_id = asking_organisation() or (recipient_id = asking_organisation() and state <> 'draft')
);
create policy verifier on referral for select to current_user using (true);
"""

OF_REFERRAL = """
alter table {table} enable row level security, force row level security;
create policy parties on {table} to relais_referral using (
    exists (select from referral where referral.id = {table}.referral_id)
);
create policy verifier on {table} for select to current_user using (true);
"""


def upgrade() -> None:
    for script in (TABLES, PRIVILEGES, APPEND_ONLY, OWNERSHIP):
        run_script(script)
    for table in ("sealed_part", "consent", "consent_state", "disclosure", "event"):
        run_script(OF_REFERRAL.format(table=table))


def downgrade() -> None:
    run_script("""
        drop table event, disclosure, consent_state, consent, sealed_part, referral, idempotency, organisation;
        drop function refuse_change();
        drop function refuse_truncate();
        drop function asking_organisation();
    """)
