"""Each entry of the audit log carries the hash of the one before it, and says inside which organisation it was."""

import json
from datetime import UTC
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from relais_shared.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = """
drop trigger append_only on audit;
alter table audit alter column id drop default;
drop sequence if exists audit_id_seq;
alter table audit add column organisation_id uuid, add column previous bytea, add column hash bytea;
"""

# The service reads where the chain ends, and holds that place until its transaction is over; the place moves by itself,
# with an entry that follows, and by nothing else that the service may do.
CHAIN = """
alter table audit alter column previous set not null, alter column hash set not null;
create index audit_of_subject on audit (subject, id);
create index audit_of_organisation on audit (organisation_id, id);
create function hold_audit_head(out number bigint, out hash bytea)
language sql security definer set search_path = pg_catalog as $$
    select h.number, h.hash from public.audit_head h for no key update
$$;
revoke execute on function hold_audit_head() from public;
grant execute on function hold_audit_head() to relais_gateway;
create function follow_audit_head() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update public.audit_head set number = new.id, hash = new.hash where number = new.id - 1 and hash = new.previous;
    if not found then
        raise exception 'an entry of the audit log follows the one before it' using errcode = 'check_violation';
    end if;
    return null;
end $$;
create trigger follows_head after insert on audit for each row execute function follow_audit_head();
create trigger append_only before update or delete on audit for each row execute function refuse_change();
create trigger never_emptied before truncate on audit for each statement execute function refuse_change();
revoke insert, update, delete on audit_head from relais_gateway;
grant select on audit_head to relais_gateway;
"""


def upgrade() -> None:
    run_script(COLUMNS)
    number, previous = 0, bytes(32)
    connection = op.get_bind()
    # Lower numbers are free by then: numbers only move down.
    for row in connection.execute(sa.text("select * from audit order by id")).mappings().all():
        number += 1
        said = [number, row["at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), row["actor"], row["action"],
                row["subject"], None, row["facts"]]  # fmt: skip
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        hash_ = sha256(previous + text.encode()).digest()
        connection.execute(
            sa.text("update audit set id = :number, previous = :previous, hash = :hash where id = :id"),
            {"number": number, "previous": previous, "hash": hash_, "id": row["id"]},
        )
        previous = hash_
    op.execute(
        "create table audit_head (single boolean not null check (single), number bigint not null, hash bytea not null,"
        " primary key (single))"
    )
    connection.execute(
        sa.text("insert into audit_head values (true, :number, :hash)"), {"number": number, "hash": previous}
    )
    run_script(CHAIN)


def downgrade() -> None:
    run_script("""
        drop trigger never_emptied on audit;
        drop trigger follows_head on audit;
        drop function follow_audit_head();
        drop function hold_audit_head();
        drop table audit_head;
        drop index audit_of_subject, audit_of_organisation;
        alter table audit drop column organisation_id, drop column previous, drop column hash;
        create sequence audit_id_seq owned by audit.id;
        select setval('audit_id_seq', greatest((select max(id) from audit), 1));
        alter table audit alter column id set default nextval('audit_id_seq');
        grant usage on sequence audit_id_seq to relais_gateway;
    """)
