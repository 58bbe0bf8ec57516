"""Whom an outside provider of identities names."""

from relais_shared.migrations import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = """
create table outside_identity (
    issuer varchar not null,
    subject varchar not null,
    account_id uuid not null references account (id) on delete cascade,
    created_at timestamp with time zone not null,
    primary key (issuer, subject),
    constraint one_name_of_an_issuer unique (account_id, issuer)
);
grant select, insert, delete on outside_identity to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("drop table outside_identity;")
