"""One open organisation of a name: two that were enrolled at the same moment are told apart."""

from relais_shared.migrations import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_APART = """
update organisation o set name = o.name || ' (' || left(o.id::text, 8) || ')'
where o.active and exists (
    select from organisation other where other.active and lower(other.name) = lower(o.name) and other.id < o.id
);
"""
_ONCE = "create unique index one_open_organisation_of_a_name on organisation (lower(name)) where active;"


def upgrade() -> None:
    run_script(_APART)
    run_script(_ONCE)


def downgrade() -> None:
    run_script("drop index one_open_organisation_of_a_name;")
