"""Calls that may be repeated under a key of the caller's."""

from relais_shared.migrations import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
create table idempotency (
    organisation_id uuid not null,
    route varchar not null,
    key varchar(255) not null,
    fingerprint bytea not null,
    status integer not null,
    resource_id uuid not null,
    created_at timestamp with time zone not null,
    primary key (organisation_id, route, key)
);
grant select, insert, update, delete on idempotency to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("drop table idempotency;")
