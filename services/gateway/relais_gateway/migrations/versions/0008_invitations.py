"""Invitations by a one-time link, of which only the hash is kept."""

from relais_shared.migrations import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
create table invitation (
    id uuid not null,
    organisation_id uuid not null,
    email varchar not null,
    name varchar not null,
    function varchar not null,
    roles varchar[] not null,
    secret_hash bytea not null,
    invited_by varchar not null,
    invited_at timestamptz not null,
    expires_at timestamptz not null,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    primary key (id),
    foreign key(organisation_id) references organisation (id),
    unique (secret_hash)
);
create unique index one_open_invitation on invitation (organisation_id, email)
    where accepted_at is null and withdrawn_at is null;
create index ix_invitation_expires_at on invitation (expires_at);
grant select, insert, update, delete on invitation to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("drop table invitation;")
