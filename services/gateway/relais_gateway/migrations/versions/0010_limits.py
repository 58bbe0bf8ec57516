"""How often an organisation or one of its systems may call, where it is not what the settings say."""

from relais_shared.migrations import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NUMBERS = """
    per_second integer not null check (per_second > 0),
    burst integer not null check (burst > 0),
    at_once integer not null check (at_once > 0)
"""

TABLES = f"""
create table organisation_limit (
    organisation_id uuid not null,
    {NUMBERS},
    primary key (organisation_id),
    foreign key(organisation_id) references organisation (id)
);
create table client_limit (
    client_id varchar not null,
    {NUMBERS},
    primary key (client_id),
    foreign key(client_id) references client (id)
);
grant select, insert, update, delete on organisation_limit, client_limit to relais_gateway;
"""

WATCHED = ("organisation_limit", "client_limit")


def upgrade() -> None:
    run_script(TABLES)
    for table in WATCHED:
        run_script(
            f"create trigger moves_version after insert or update or delete on {table}"
            " for each statement execute function move_version();"
        )


def downgrade() -> None:
    run_script("drop table client_limit, organisation_limit;")
