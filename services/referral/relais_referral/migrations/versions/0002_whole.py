"""The handshake and consent, whole: marks, her access, guests, conversation, tasks, conferences, the daily head."""

from relais_shared.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Row-level security is forced on the owner too, who may only look: it rests while old rows are completed.
REFERRAL = """
alter table referral
    alter column key_id drop not null,
    alter column wrapped_key drop not null,
    add column via varchar not null default 'relais',
    add column state_at timestamptz,
    add column due_at timestamptz,
    add column overdue_told boolean not null default false,
    add column paused_at timestamptz,
    add column paused_until date,
    add column phoned jsonb,
    add column undo jsonb,
    add column redirected_from uuid,
    add column redirected_to uuid,
    add column conference_id uuid,
    add column sender_account_id uuid,
    add column sender_team_id varchar,
    add column recipient_account_id uuid,
    add column recipient_team_id varchar,
    add column idle_asked_at timestamptz,
    add column erased_at timestamptz,
    add column shredded_at timestamptz,
    add constraint known_way check (via in ('relais', 'guest', 'phone_only')),
    add constraint key_until_shredded check ((wrapped_key is null) = (shredded_at is not null));
alter table referral disable row level security;
update referral set state_at = updated_at;
alter table referral enable row level security;
alter table referral alter column state_at set not null;
create index referral_due on referral (due_at) where state in ('proposed', 'received');
create index referral_of_term on referral (state, state_at) where shredded_at is null;
create index referral_by_key on referral (key_id) where key_id is not null;
create index referral_erased on referral (erased_at) where erased_at is not null and shredded_at is null;
"""

CONSENT = """
alter table consent
    alter column service_id drop not null,
    alter column given_at drop not null,
    add column conference_id uuid;
alter table consent_state
    add column conference_id uuid,
    add column valid_until timestamptz,
    add column warned_at timestamptz;
alter table consent_state disable row level security;
update consent_state set valid_until = consent.valid_until from consent where consent.id = consent_state.consent_id;
alter table consent_state enable row level security;
drop index one_consent_in_force;
create unique index one_consent_in_force on consent_state (referral_id)
    where status = 'given' and conference_id is null;
create index consent_running_out on consent_state (valid_until) where status = 'given' and valid_until is not null;
"""

TABLES = """
create table access (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    party varchar not null,
    link_hash bytea not null unique,
    code_kind varchar not null,
    code_hash bytea not null,
    level varchar not null,
    discreet boolean not null,
    language varchar not null,
    made_at timestamptz not null,
    made_by varchar not null,
    ended_at timestamptz,
    tries integer not null default 0,
    locked_until timestamptz,
    constraint known_level check (level in ('none', 'steps', 'full')),
    constraint known_code check (code_kind in ('pictures', 'digits'))
);
create index ix_access_referral_id on access (referral_id);
create table access_referral (
    access_id uuid not null references access (id),
    referral_id uuid not null references referral (id),
    linked_at timestamptz not null,
    primary key (access_id, referral_id)
);
create index access_of_referral on access_referral (referral_id);
create table access_opening (
    id uuid primary key,
    access_id uuid not null references access (id),
    at timestamptz not null,
    way varchar not null,
    organisation_id uuid,
    organisation varchar
);
create index ix_access_opening_access_id on access_opening (access_id);
create table person_session (
    token_hash bytea primary key,
    access_id uuid not null references access (id),
    opened_at timestamptz not null,
    expires_at timestamptz not null,
    assisted_by uuid,
    assisted_name varchar
);
create table guest (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    link_hash bytea not null unique,
    address varchar not null,
    code_hash bytea not null,
    made_at timestamptz not null,
    expires_at timestamptz not null,
    opened_at timestamptz,
    ended_at timestamptz,
    tries integer not null default 0,
    locked_until timestamptz,
    name varchar,
    function varchar,
    secrecy varchar,
    undertaken_at timestamptz
);
create index ix_guest_referral_id on guest (referral_id);
create table guest_session (
    token_hash bytea primary key,
    guest_id uuid not null references guest (id),
    opened_at timestamptz not null,
    expires_at timestamptz not null
);
create table message (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    conference_id uuid,
    at timestamptz not null,
    party varchar not null,
    organisation_id uuid,
    author varchar not null,
    early boolean not null,
    content bytea not null
);
create index ix_message_referral_id on message (referral_id);
create table document (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    at timestamptz not null,
    party varchar not null,
    organisation_id uuid,
    media_type varchar not null,
    size integer not null,
    about bytea not null,
    content bytea not null
);
create index ix_document_referral_id on document (referral_id);
create table task (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    party varchar not null,
    kind varchar not null,
    reason varchar not null,
    opened_at timestamptz not null,
    done_at timestamptz,
    done_by varchar,
    answer jsonb,
    dropped_at timestamptz
);
create index ix_task_referral_id on task (referral_id);
create index task_open on task (opened_at) where done_at is null and dropped_at is null;
create table conference (
    id uuid primary key,
    referral_id uuid not null references referral (id),
    opened_at timestamptz not null,
    opened_by uuid not null,
    ended_at timestamptz,
    ended_by varchar,
    she_attends boolean not null default false
);
create index ix_conference_referral_id on conference (referral_id);
create table conference_part (
    conference_id uuid not null references conference (id),
    organisation_id uuid not null,
    organisation varchar not null,
    counsellor jsonb,
    account_id uuid,
    team_id varchar,
    invited_at timestamptz not null,
    joined_at timestamptz,
    left_at timestamptz,
    primary key (conference_id, organisation_id)
);
create index conference_of_organisation on conference_part (organisation_id);
create table decision (
    id uuid primary key,
    conference_id uuid not null references conference (id),
    referral_id uuid not null references referral (id),
    at timestamptz not null,
    organisation_id uuid not null,
    content bytea not null,
    draft_id uuid,
    drafted_by uuid
);
create index ix_decision_conference_id on decision (conference_id);
create index ix_decision_referral_id on decision (referral_id);
create table day_head (
    day date primary key,
    upto timestamptz not null,
    referrals integer not null,
    events integer not null,
    previous bytea not null,
    hash bytea not null,
    key_id varchar not null,
    signature bytea not null
);
create index event_by_time on event (at);
"""

PRIVILEGES = """
revoke all on access, access_referral, access_opening, person_session, guest, guest_session, message, document,
    task, conference, conference_part, decision, day_head from relais_referral;
grant select, insert, update on access, guest, task, conference, conference_part, decision to relais_referral;
grant select, insert, delete on access_referral to relais_referral;
grant select, insert on access_opening, day_head to relais_referral;
grant select, insert, update, delete on person_session, guest_session to relais_referral;
grant select, insert, delete on message, document to relais_referral;
grant delete on decision to relais_referral;
grant update on idempotency to relais_referral;
create trigger append_only before update or delete on day_head for each row execute function refuse_change();
create trigger append_only before update or delete on access_opening for each row execute function refuse_change();
create trigger append_only_whole before truncate on day_head execute function refuse_truncate();
create trigger append_only_whole before truncate on access_opening execute function refuse_truncate();
"""

# Who asks stands in settings of the transaction: an organisation, her own access, a guest, or the worker.
# `limit 1` keeps each look a look at one index entry: without it the planner may read a whole table first.
OWNERSHIP = """
create function asking_access() returns uuid language sql stable as
    $$ select nullif(current_setting('relais.access', true), '')::uuid $$;
create function asking_guest() returns uuid language sql stable as
    $$ select nullif(current_setting('relais.guest', true), '')::uuid $$;
create function asking_worker() returns boolean language sql stable as
    $$ select coalesce(current_setting('relais.worker', true), '') = 'on' $$;
drop policy parties on referral;
create policy parties on referral to relais_referral using (
    sender_id = asking_organisation()
    or (recipient_id = asking_organisation() and state <> 'draft')
    or asking_worker()
    or (asking_access() is not null and (
        select true from access_referral
        where access_referral.referral_id = referral.id and access_referral.access_id = asking_access() limit 1
    ))
    or (asking_guest() is not null and (
        select true from guest
        where guest.referral_id = referral.id and guest.id = asking_guest() and guest.ended_at is null limit 1
    ))
    or (asking_organisation() is not null and (
        select true from conference join conference_part on conference_part.conference_id = conference.id
        where conference.referral_id = referral.id and conference_part.organisation_id = asking_organisation()
            and conference_part.left_at is null and conference.ended_at is null limit 1
    ))
);
"""

OF_REFERRAL = """
alter table {table} enable row level security, force row level security;
create policy parties on {table} to relais_referral using (
    exists (select from referral where referral.id = {table}.referral_id)
);
create policy verifier on {table} for select to current_user using (true);
"""


def upgrade() -> None:
    for script in (REFERRAL, CONSENT, TABLES, PRIVILEGES, OWNERSHIP):
        run_script(script)
    for table in ("message", "document", "task", "decision"):
        run_script(OF_REFERRAL.format(table=table))


def downgrade() -> None:
    raise NotImplementedError("What was sealed, linked and agreed to since has no place in the older tables.")
