"""The gateway's tables, what its role may do with them, and what the database holds by itself."""

from relais_shared.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
create table audit (
    id bigserial not null,
    at timestamptz not null,
    actor varchar not null,
    action varchar not null,
    subject varchar not null,
    facts jsonb not null,
    primary key (id)
);
create table organisation (
    id uuid not null,
    name varchar not null,
    kind varchar not null,
    municipality varchar,
    active boolean not null,
    platform boolean not null,
    may_sanction boolean not null,
    control_unit boolean not null,
    secrecy varchar not null,
    practice boolean not null,
    controller jsonb not null,
    primary key (id)
);
create table registry_version (
    single boolean not null,
    version integer not null,
    primary key (single)
);
create table sign_in_attempt (
    id bigserial not null,
    who bytea not null,
    at timestamptz not null,
    primary key (id)
);
create index attempts_of_one on sign_in_attempt (who, at);
create table signing_key (
    kid varchar not null,
    public jsonb not null,
    sealed_private bytea not null,
    created_at timestamptz not null,
    retired_at timestamptz,
    primary key (kid)
);
create table span (
    id bigserial not null,
    trace_id varchar not null,
    span_id varchar not null,
    parent_span_id varchar,
    service varchar not null,
    name varchar not null,
    kind varchar not null,
    started_at timestamptz not null,
    duration_ms double precision not null,
    status varchar not null,
    attributes jsonb not null,
    primary key (id)
);
create index span_of_trace on span (trace_id);
create index root_span_by_time on span (started_at) where parent_span_id is null;
create index span_by_time on span using brin (started_at);
create table account (
    id uuid not null,
    organisation_id uuid not null,
    email varchar not null,
    name varchar not null,
    function varchar not null,
    password_hash varchar not null,
    roles varchar[] not null,
    active boolean not null,
    primary key (id),
    foreign key(organisation_id) references organisation (id),
    unique (email)
);
create index ix_account_organisation_id on account (organisation_id);
create table agreement (
    organisation_id uuid not null,
    text_version varchar not null,
    signed_on date not null,
    parties varchar[] not null,
    primary key (organisation_id),
    foreign key(organisation_id) references organisation (id)
);
create table client (
    id varchar not null,
    organisation_id uuid not null,
    name varchar not null,
    secret_hash bytea not null,
    scopes varchar[] not null,
    active boolean not null,
    primary key (id),
    foreign key(organisation_id) references organisation (id)
);
create index ix_client_organisation_id on client (organisation_id);
create table scope_grant (
    organisation_id uuid not null,
    scope varchar not null,
    limits jsonb not null,
    ends_on date,
    primary key (organisation_id, scope),
    foreign key(organisation_id) references organisation (id)
);
create table session (
    secret_hash bytea not null,
    account_id uuid not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    primary key (secret_hash),
    foreign key(account_id) references account (id)
);
create index ix_session_account_id on session (account_id);
"""

PRIVILEGES = """
grant select, insert, update, delete on all tables in schema public to relais_gateway;
revoke update, delete on audit from relais_gateway;
revoke insert, update, delete on alembic_version from relais_gateway;
revoke insert, delete on registry_version from relais_gateway;
grant usage on all sequences in schema public to relais_gateway;
"""

# Whatever changes who may do what moves the version, also by hand: every gateway process looks at it.
VERSION = """
insert into registry_version values (true, 1);
alter table registry_version add constraint only_one check (single);
create function move_version() returns trigger language plpgsql as $$
begin
    update registry_version set version = version + 1;
    return null;
end $$;
"""

WATCHED = ("organisation", "agreement", "scope_grant", "client", "account", "signing_key")

RULES = """
create function judge_grant() returns trigger language plpgsql as $$
begin
    if new.scope like 'referral:%' and (
        exists (select from organisation o where o.id = new.organisation_id and o.control_unit)
        or not exists (select from agreement a where a.organisation_id = new.organisation_id)
    ) then
        raise exception 'a referral scope needs an agreement, and no control unit holds one'
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger judged before insert or update on scope_grant for each row execute function judge_grant();
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end $$;
create trigger append_only before update or delete on audit for each row execute function refuse_change();
"""


def upgrade() -> None:
    for script in (TABLES, PRIVILEGES, VERSION, RULES):
        run_script(script)
    for table in WATCHED:
        run_script(
            f"create trigger moves_version after insert or update or delete on {table}"
            " for each statement execute function move_version();"
        )


def downgrade() -> None:
    run_script("""
        drop table span, audit, registry_version, signing_key, sign_in_attempt, session, account, client,
            scope_grant, agreement, organisation;
        drop function move_version();
        drop function judge_grant();
        drop function refuse_change();
    """)
