"""Keys by which people sign in without a password."""

from relais_shared.migrations import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
create table passkey (
    id bytea not null check (octet_length(id) between 1 and 1023),
    account_id uuid not null references account (id) on delete cascade,
    public_key bytea not null,
    sign_count bigint not null,
    name varchar not null,
    created_at timestamp with time zone not null,
    used_at timestamp with time zone,
    primary key (id)
);
create index ix_passkey_account_id on passkey (account_id);
grant select, insert, update, delete on passkey to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("drop table passkey;")
