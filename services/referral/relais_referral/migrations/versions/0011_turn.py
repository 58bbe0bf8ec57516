"""A hand-over and her agreements are locked by one question; who asks beside its two sides stands in a function."""

from relais_shared.migrations import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Says for whom the transaction asks, then locks: the referral, then the states of her agreements. As a function it
# is one question; each statement in it sees what stands when it begins, thus when the lock before was given. Row-level
# security holds in it: it runs with the rights of whoever calls it. What is asked after it goes by keys alone, and
# planning it anew each time, with all the policies in it, took as long as running it.
LOCKING = """
    perform from referral
        where referral.id = wanted and pg_advisory_xact_lock{shared}(turn) is not null for {lock};
    perform from consent_state
        where consent_state.referral_id = wanted and consent_state.conference_id is null for {lock};
"""
TAKE_TURN = f"""
create function take_turn(
    organisation text, access text, guest text, worker text, wanted uuid, turn bigint, reading boolean
) returns void language plpgsql as $$
begin
    perform set_config('relais.organisation', organisation, true), set_config('relais.access', access, true),
        set_config('relais.guest', guest, true), set_config('relais.worker', worker, true),
        set_config('plan_cache_mode', 'force_generic_plan', true);
    if reading then {LOCKING.format(shared="_shared", lock="share")}
    else {LOCKING.format(shared="", lock="update")}
    end if;
end $$;
"""

# Who comes as a person, a guest or a structure of a case conference. Apart from the policy, which stands in every plan
# of every table below a hand-over, again and again: the two sides of it, who ask most, would carry all of this along.
BESIDE = """
create function asking_beside(wanted uuid) returns boolean language plpgsql stable as $$
begin
    if asking_access() is not null then
        return exists (
            select from access_referral
            where access_referral.referral_id = wanted and access_referral.access_id = asking_access()
        );
    elsif asking_guest() is not null then
        return exists (
            select from guest
            where guest.referral_id = wanted and guest.id = asking_guest() and guest.ended_at is null
        );
    end if;
    return asking_organisation() is not null and exists (
        select from conference join conference_part on conference_part.conference_id = conference.id
        where conference.referral_id = wanted and conference_part.organisation_id = asking_organisation()
            and conference_part.left_at is null and conference.ended_at is null
    );
end $$;
alter policy parties on referral using (
    sender_id = asking_organisation()
    or (recipient_id = asking_organisation() and state <> 'draft')
    or asking_worker()
    or asking_beside(id)
);
"""


def upgrade() -> None:
    run_script(BESIDE)
    run_script(TAKE_TURN)


def downgrade() -> None:
    run_script("""
        drop function take_turn;
        alter policy parties on referral using (
            sender_id = asking_organisation()
            or (recipient_id = asking_organisation() and state <> 'draft')
            or asking_worker()
            or (asking_access() is not null and (
                select true from access_referral
                where access_referral.referral_id = referral.id and access_referral.access_id = asking_access() limit 1
            ))
            or (asking_guest() is not null and (
                select true from guest
                where guest.referral_id = referral.id and guest.id = asking_guest() and guest.ended_at is null limit 1
            ))
            or (asking_organisation() is not null and (
                select true from conference join conference_part on conference_part.conference_id = conference.id
                where conference.referral_id = referral.id and conference_part.organisation_id = asking_organisation()
                    and conference_part.left_at is null and conference.ended_at is null limit 1
            ))
        );
        drop function asking_beside;
    """)
