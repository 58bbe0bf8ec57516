"""Indexes by which the next deliveries are found, however many wait: in their order, and by what they are about."""

from relais_shared.migrations import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("""
        create index delivery_line on webhook_delivery (endpoint_id, position) where state = 'waiting';
        create index delivery_subject on webhook_delivery (subject_id, endpoint_id, position) where state = 'waiting';
        drop index delivery_head;
    """)


def downgrade() -> None:
    run_script("""
        create index delivery_head on webhook_delivery (endpoint_id, subject_id, position) where state = 'waiting';
        drop index delivery_line;
        drop index delivery_subject;
    """)
