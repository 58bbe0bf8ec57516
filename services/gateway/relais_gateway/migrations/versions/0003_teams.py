"""Teams, their leads, absences with a deputy; how soon an organisation answers, and where its own tool opens."""

from relais_shared.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Organisation and id stand together in the keys: no team takes a colleague of elsewhere in, and nobody has a deputy
# elsewhere, whatever a program does.
TABLES = """
alter table organisation
    add column answer_within_days integer not null default 2 check (answer_within_days between 1 and 30),
    add column launch_base varchar check (launch_base ~ '^https?://[^?#]+$');
alter table account add constraint account_of_organisation unique (id, organisation_id);
create table team (
    id uuid not null,
    organisation_id uuid not null,
    name varchar not null,
    primary key (id),
    foreign key(organisation_id) references organisation (id),
    constraint team_named_once unique (organisation_id, name),
    constraint team_of_organisation unique (id, organisation_id)
);
create table team_member (
    team_id uuid not null,
    account_id uuid not null,
    organisation_id uuid not null,
    lead boolean not null,
    primary key (team_id, account_id),
    foreign key(team_id, organisation_id) references team (id, organisation_id) on delete cascade,
    foreign key(account_id, organisation_id) references account (id, organisation_id)
);
create index ix_team_member_account_id on team_member (account_id);
create table absence (
    account_id uuid not null,
    organisation_id uuid not null,
    deputy_id uuid not null,
    begins_on date not null,
    ends_on date,
    primary key (account_id),
    foreign key(account_id, organisation_id) references account (id, organisation_id),
    foreign key(deputy_id, organisation_id) references account (id, organisation_id),
    check (deputy_id <> account_id),
    check (ends_on >= begins_on)
);
create index ix_absence_deputy_id on absence (deputy_id);
grant select, insert, update, delete on team, team_member, absence to relais_gateway;
"""

WATCHED = ("team", "team_member", "absence")


def upgrade() -> None:
    run_script(TABLES)
    for table in WATCHED:
        run_script(
            f"create trigger moves_version after insert or update or delete on {table}"
            " for each statement execute function move_version();"
        )


def downgrade() -> None:
    run_script("""
        drop table absence, team_member, team;
        alter table account drop constraint account_of_organisation;
        alter table organisation drop column answer_within_days, drop column launch_base;
    """)
