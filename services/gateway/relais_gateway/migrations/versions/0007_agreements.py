"""Agreements have a term and stay on record; what holds by days is looked at anew each day."""

from relais_shared.migrations import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What was signed is never changed: the service may only say when it ends.
AGREEMENTS = """
alter table agreement
    drop constraint agreement_pkey,
    add column id uuid not null default gen_random_uuid(),
    add column ends_on date,
    add column ended_at timestamptz,
    add column recorded_at timestamptz not null default now(),
    add column secrecy varchar,
    add column may_sanction boolean,
    add column controller jsonb;
update agreement a set secrecy = o.secrecy, may_sanction = o.may_sanction, controller = o.controller
    from organisation o where o.id = a.organisation_id;
alter table agreement
    add primary key (id),
    alter column id drop default,
    alter column recorded_at drop default,
    alter column secrecy set not null,
    alter column may_sanction set not null,
    alter column controller set not null,
    add constraint ends_after_it_begins check (ends_on >= signed_on);
create index ix_agreement_organisation_id on agreement (organisation_id);
create unique index one_living_agreement on agreement (organisation_id) where ended_at is null;
revoke update, delete on agreement from relais_gateway;
grant update (ends_on, ended_at) on agreement to relais_gateway;
"""

RULES = """
create or replace function judge_grant() returns trigger language plpgsql as $$
begin
    if new.scope like 'referral:%' and (
        exists (select from organisation o where o.id = new.organisation_id and o.control_unit)
        or not exists (
            select from agreement a where a.organisation_id = new.organisation_id and a.ended_at is null
                and (a.ends_on is null or a.ends_on >= (now() at time zone 'utc')::date)
        )
    ) then
        raise exception 'a referral scope needs an agreement, and no control unit holds one'
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
"""

# The services keep a copy of who holds what today: with the day the version moves, and they hear of it.
DAY = "alter table registry_version add column day date not null default (now() at time zone 'utc')::date;"


def upgrade() -> None:
    for script in (AGREEMENTS, RULES, DAY):
        run_script(script)


def downgrade() -> None:
    run_script("""
        alter table registry_version drop column day;
        create or replace function judge_grant() returns trigger language plpgsql as $$
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
        delete from agreement where ended_at is not null;
        drop index one_living_agreement, ix_agreement_organisation_id;
        alter table agreement drop constraint ends_after_it_begins, drop column id, drop column ends_on,
            drop column ended_at, drop column recorded_at, drop column secrecy, drop column may_sanction,
            drop column controller, add primary key (organisation_id);
        grant update, delete on agreement to relais_gateway;
    """)
