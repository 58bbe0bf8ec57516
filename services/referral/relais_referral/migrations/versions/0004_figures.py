"""Figures: what each month came to, as it is told, and a view of what counting reads."""

from relais_shared.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
create table figure_month (
    month date primary key,
    counted_at timestamptz not null,
    territory jsonb
);
create table figure_own (
    month date not null references figure_month (month) on delete cascade,
    organisation_id uuid not null,
    role varchar not null,
    told jsonb not null,
    primary key (month, organisation_id, role),
    constraint known_role check (role in ('sender', 'recipient'))
);
create index figure_of_organisation on figure_own (organisation_id, role, month);
"""

# The owner's view, so that counting needs neither the referrals' rows nor the agreements': no name, no reason, no
# outcome, nothing sealed and no rehearsal is in it, and only the worker finds anything there.
STEPS = """
create view figure_step with (security_barrier) as
select
    event.referral_id, event.number, event.at, event.type, event.data ->> 'state' as state,
    referral.redirected_from, referral.sender_id, referral.recipient_id, referral.sender_may_sanction,
    referral.sensitive, referral.themes, referral.municipality,
    consent.id as consent_id, coalesce('statistics' = any (consent.purposes), false) as statistics, consent.valid_until
from event
join referral on referral.id = event.referral_id
left join consent on consent.id = (event.data ->> 'consent_id')::uuid and consent.conference_id is null
where not referral.practice and asking_worker();
create index event_of_proposal on event (at) where type = 'referral.proposed';
"""

PRIVILEGES = """
revoke all on figure_month, figure_own, figure_step from relais_referral;
grant select, insert, delete on figure_month, figure_own to relais_referral;
grant select on figure_step to relais_referral;
"""

# What is told of the territory tells of nobody: whoever the app lets ask may read it. Only the worker counts.
OWNERSHIP = """
alter table figure_month enable row level security, force row level security;
create policy everybody on figure_month for select to relais_referral using (true);
create policy worker on figure_month to relais_referral using (asking_worker());
create policy verifier on figure_month for select to current_user using (true);
alter table figure_own enable row level security, force row level security;
create policy owner on figure_own for select to relais_referral using (organisation_id = asking_organisation());
create policy worker on figure_own to relais_referral using (asking_worker());
create policy verifier on figure_own for select to current_user using (true);
"""


def upgrade() -> None:
    for script in (TABLES, STEPS, PRIVILEGES, OWNERSHIP):
        run_script(script)


def downgrade() -> None:
    run_script("""
        drop view figure_step;
        drop table figure_own, figure_month;
        drop index event_of_proposal;
    """)
