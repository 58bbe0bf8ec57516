"""How each client proves itself and what its tokens are; what was shown once, and what was revoked."""

from relais_shared.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Revocations are numbered under the lock of the one row of registry_version, so that their numbers are in the order
# of their commits: who has read up to a number has missed none below it.
TABLES = """
alter table client
    alter column secret_hash drop not null,
    add column auth_methods varchar[] not null default '{client_secret_basic}',
    add column jwks jsonb not null default '[]',
    add column dpop_required boolean not null default false,
    add column token_life_s integer check (token_life_s between 60 and 900),
    add column token_alg varchar not null default 'Ed25519' check (token_alg in ('Ed25519', 'RS256')),
    add column fapi boolean not null default false,
    add constraint known_methods check (auth_methods <@ '{client_secret_basic,private_key_jwt}'),
    add constraint held_to_fapi check (
        not fapi or (dpop_required and auth_methods = '{private_key_jwt}' and token_alg = 'Ed25519')
    );
create table shown_once (
    hash bytea not null,
    expires_at timestamp with time zone not null,
    primary key (hash)
);
create index ix_shown_once_expires_at on shown_once (expires_at);
create table revoked_token (
    jti varchar not null,
    number bigint not null,
    expires_at timestamp with time zone not null,
    primary key (jti)
);
create index ix_revoked_token_number on revoked_token (number);
alter table registry_version add column revocations bigint not null default 0;
grant select, insert, delete on shown_once, revoked_token to relais_gateway;
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    run_script("""
        drop table revoked_token, shown_once;
        alter table registry_version drop column revocations;
        alter table client drop constraint held_to_fapi, drop constraint known_methods, drop column auth_methods,
            drop column jwks, drop column dpop_required, drop column token_life_s, drop column token_alg,
            drop column fapi;
        delete from client where secret_hash is null;
        alter table client alter column secret_hash set not null;
    """)
