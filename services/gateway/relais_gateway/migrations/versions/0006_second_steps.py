"""Second steps of signing in, recovery codes, and what people see of their own sessions."""

from relais_shared.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
alter table session
    add column id uuid not null default gen_random_uuid(),
    add column device varchar not null default '',
    add column how varchar not null default 'password',
    add constraint session_by_id unique (id);
create table totp (
    account_id uuid not null references account (id) on delete cascade,
    sealed_secret bytea not null,
    created_at timestamp with time zone not null,
    confirmed_at timestamp with time zone,
    last_step bigint not null,
    primary key (account_id)
);
create table recovery_code (
    account_id uuid not null references account (id) on delete cascade,
    hash bytea not null,
    primary key (account_id, hash)
);
create table sign_in_step (
    secret_hash bytea not null,
    account_id uuid references account (id) on delete cascade,
    purpose varchar not null,
    facts jsonb not null,
    created_at timestamp with time zone not null,
    primary key (secret_hash)
);
create index ix_sign_in_step_account_id on sign_in_step (account_id);
create index ix_sign_in_step_created_at on sign_in_step (created_at);
grant select, insert, update, delete on totp to relais_gateway;
grant select, insert, delete on recovery_code, sign_in_step to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("""
        drop table sign_in_step, recovery_code, totp;
        alter table session drop column id, drop column device, drop column how;
    """)
