"""The tables of the gateway: the registry of organisations, who may sign in, keys, and traces."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Column, DateTime, Field, SQLModel, String

from relais_shared.idempotency import IdempotencyColumns


class Table(SQLModel, registry=registry()):
    """The base of this service's tables, with metadata of their own."""


def _instant(*, nullable: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _words() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ARRAY(String), nullable=False))


def _json() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(JSONB, nullable=False))


def _of_organisation(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(
        sa_column=Column(ForeignKey("organisation.id"), primary_key=primary, index=not primary, nullable=False)
    )


class Idempotency(IdempotencyColumns, Table, table=True):
    """The keys of the last 24 hours."""


class Organisation(Table, table=True):
    """A structure with its own counsellors, systems and scopes; the one registry of all services."""

    __table_args__ = (
        Index("one_open_organisation_of_a_name", text("lower(name)"), unique=True, postgresql_where=text("active")),
    )

    id: UUID = Field(primary_key=True)
    name: str
    kind: str
    municipality: str | None = None
    active: bool
    platform: bool = Field(description="The organisation that runs this Relais; it alone reads traces.")
    may_sanction: bool = Field(description="It can sanction the people it accompanies.")
    control_unit: bool = Field(description="Its only mission is control: it holds no referral scope.")
    secrecy: str = Field(description="professional, discretion or none: by what its staff is bound.")
    practice: bool
    controller: dict[str, Any] = _json()
    answer_within_days: int = Field(description="Working days that it usually takes to answer, 1 to 30.")
    launch_base: str | None = Field(default=None, description="Where its own tool opens: an address without a query.")


class Agreement(Table, table=True):
    """A signed agreement, without one of which in force nobody takes part in hand-overs; all but its end stays."""

    __table_args__ = (
        Index("one_living_agreement", "organisation_id", unique=True, postgresql_where=text("ended_at is null")),
    )

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = _of_organisation()
    text_version: str
    signed_on: date
    parties: list[str] = _words()
    ends_on: date | None = Field(default=None, description="The last day; none while none is agreed.")
    ended_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True)), description="Ended before its term, or by another."
    )
    recorded_at: datetime = _instant()
    secrecy: str = Field(description="As the organisation declared it in signing; so are the next two.")
    may_sanction: bool
    controller: dict[str, Any] = _json()


class ScopeGrant(Table, table=True):
    """A scope that an organisation is granted."""

    __tablename__ = "scope_grant"

    organisation_id: UUID = _of_organisation(primary=True)
    scope: str = Field(primary_key=True)
    limits: dict[str, Any] = _json()
    ends_on: date | None = None


class ClientRow(Table, table=True):
    """A partner's system; its secret was shown once, and only its hash is kept. It may have public keys instead."""

    __tablename__ = "client"

    id: str = Field(primary_key=True)
    organisation_id: UUID = _of_organisation()
    name: str
    secret_hash: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))
    scopes: list[str] = _words()
    active: bool
    auth_methods: list[str] = _words()
    jwks: list[dict[str, Any]] = _json()
    dpop_required: bool = Field(description="Its tokens are bound to a key of its own (RFC 9449).")
    token_life_s: int | None = Field(default=None, description="60 to 900; as the settings say where none.")
    token_alg: str = Field(description="Ed25519, or RS256 for those who can verify nothing else.")
    fapi: bool = Field(description="Held to FAPI 2.0: keys alone, bound tokens, no RS256, one audience.")


class OrganisationLimit(Table, table=True):
    """How often an organisation may call, where it is not what the settings say."""

    __tablename__ = "organisation_limit"

    organisation_id: UUID = _of_organisation(primary=True)
    per_second: int
    burst: int
    at_once: int


class ClientLimit(Table, table=True):
    """How often one system may call, where it is not as often as its organisation."""

    __tablename__ = "client_limit"

    client_id: str = Field(sa_column=Column(ForeignKey("client.id"), primary_key=True))
    per_second: int
    burst: int
    at_once: int


class Account(Table, table=True):
    """A counsellor or administrator who signs in."""

    __table_args__ = (UniqueConstraint("id", "organisation_id", name="account_of_organisation"),)

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = _of_organisation()
    email: str = Field(unique=True, description="In small letters.")
    name: str
    function: str
    password_hash: str = Field(description="Argon2id.")
    roles: list[str] = _words()
    active: bool
    language: str | None = Field(default=None, description="In which the pages were last read: letters speak it too.")


class Invitation(Table, table=True):
    """Somebody is asked to sign in for an organisation; the link was shown once, this row holds its hash."""

    __table_args__ = (
        Index(
            "one_open_invitation",
            "organisation_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at is null and withdrawn_at is null"),
        ),
    )

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(sa_column=Column(ForeignKey("organisation.id"), nullable=False))
    email: str = Field(description="In small letters.")
    name: str
    function: str
    roles: list[str] = _words()
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    invited_by: str = Field(description="The actor.")
    invited_at: datetime = _instant()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), index=True, nullable=False))
    accepted_at: datetime | None = _instant(nullable=True)
    withdrawn_at: datetime | None = _instant(nullable=True)


def _both(account_or_team: str, table: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    # The organisation stands in the key: the database itself keeps organisations apart.
    return ForeignKeyConstraint(
        [account_or_team, "organisation_id"], [f"{table}.id", f"{table}.organisation_id"], ondelete=ondelete
    )


class Team(Table, table=True):
    """Colleagues who share their work."""

    __table_args__ = (
        UniqueConstraint("organisation_id", "name", name="team_named_once"),
        UniqueConstraint("id", "organisation_id", name="team_of_organisation"),
    )

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(sa_column=Column(ForeignKey("organisation.id"), nullable=False))
    name: str


class TeamMember(Table, table=True):
    """One of a team; a lead sees to it that nothing lies."""

    __tablename__ = "team_member"
    __table_args__ = (_both("team_id", "team", ondelete="CASCADE"), _both("account_id", "account"))

    team_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True, index=True)
    organisation_id: UUID
    lead: bool


class Absence(Table, table=True):
    """Days, both included, on which a colleague is away and another stands for her; one at a time."""

    __table_args__ = (_both("account_id", "account"), _both("deputy_id", "account"))

    account_id: UUID = Field(primary_key=True)
    organisation_id: UUID
    deputy_id: UUID = Field(index=True)
    begins_on: date
    ends_on: date | None = Field(default=None, description="The last day; none while nobody knows.")


class Session(Table, table=True):
    """A browser's session; the cookie holds the secret, this row its hash."""

    __table_args__ = (UniqueConstraint("id", name="session_by_id"),)

    secret_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: UUID = Field(sa_column=Column(ForeignKey("account.id"), index=True, nullable=False))
    created_at: datetime = _instant()
    seen_at: datetime = _instant()
    id: UUID = Field(description="By which its owner ends it from another browser.")
    device: str = Field(description="Browser and system, without versions.")
    how: str = Field(description="By what it was opened, as `domain.second_steps.How` has it.")


def _of_account(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    key = ForeignKey("account.id", ondelete="CASCADE")
    return Field(sa_column=Column(key, primary_key=primary, index=not primary, nullable=not primary))


class Totp(Table, table=True):
    """The app that shows an account's codes; what it shares with us is sealed."""

    account_id: UUID = _of_account(primary=True)
    sealed_secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = _instant()
    confirmed_at: datetime | None = _instant(nullable=True)
    last_step: int = Field(
        sa_column=Column(BigInteger, nullable=False), description="The last period whose code was used."
    )


class RecoveryCode(Table, table=True):
    """A code that opens once where the app or the key is lost, by its keyed hash."""

    __tablename__ = "recovery_code"

    account_id: UUID = _of_account(primary=True)
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))


class SignInStep(Table, table=True):
    """Somebody halfway through signing in; the cookie holds the secret, this row its hash."""

    __tablename__ = "sign_in_step"

    secret_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: UUID | None = _of_account()
    purpose: str
    facts: dict[str, Any] = _json()
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), index=True, nullable=False))


class SignInAttempt(Table, table=True):
    """One failed sign-in, by a keyed hash of the e-mail tried: enough to slow guessing down."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (Index("attempts_of_one", "who", "at"),)

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    who: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: datetime = _instant()


class Passkey(Table, table=True):
    """The public half of a key that one of somebody's devices holds (WebAuthn)."""

    id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: UUID = Field(sa_column=Column(ForeignKey("account.id", ondelete="CASCADE"), index=True, nullable=False))
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False), description="As COSE has it.")
    sign_count: int = Field(sa_column=Column(BigInteger, nullable=False), description="0 where it does not count.")
    name: str = Field(description="By which its owner knows it.")
    created_at: datetime = _instant()
    used_at: datetime | None = _instant(nullable=True)


class OutsideIdentity(Table, table=True):
    """An outside provider's own lasting name for somebody who has an account here."""

    __tablename__ = "outside_identity"
    __table_args__ = (UniqueConstraint("account_id", "issuer", name="one_name_of_an_issuer"),)

    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    account_id: UUID = Field(sa_column=Column(ForeignKey("account.id", ondelete="CASCADE"), nullable=False))
    created_at: datetime = _instant()


class SigningKey(Table, table=True):
    """A key that signs access tokens; its private half is sealed."""

    __tablename__ = "signing_key"

    kid: str = Field(primary_key=True)
    public: dict[str, Any] = _json()
    sealed_private: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = _instant()
    retired_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True)), description="From then on it verifies nothing."
    )


class ShownOnce(Table, table=True):
    """The fingerprint of a client assertion or a DPoP proof: it is taken once, and remembered while it lives."""

    __tablename__ = "shown_once"

    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), index=True, nullable=False))


class RevokedToken(Table, table=True):
    """An access token that its client gave up before its end."""

    __tablename__ = "revoked_token"

    jti: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, index=True, nullable=False))
    expires_at: datetime = _instant()


class RegistryVersion(Table, table=True):
    """One row, moved by the database itself whenever who may do what changes; it also numbers the revoked tokens."""

    __tablename__ = "registry_version"

    single: bool = Field(primary_key=True)
    version: int
    revocations: int = Field(sa_column=Column(BigInteger, nullable=False))
    day: date = Field(description="On which who holds what was looked at last; with the next one the version moves.")


class Audit(Table, table=True):
    """Who changed what, as one hash chain; the database refuses to change or remove it."""

    __table_args__ = (
        Index("audit_of_subject", "subject", "id"),
        Index("audit_of_organisation", "organisation_id", "id"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False), description="From 1 on.")
    at: datetime = _instant()
    actor: str
    action: str
    subject: str
    facts: dict[str, Any] = _json()
    organisation_id: UUID | None = Field(default=None, description="Inside which organisation it was, or about which.")
    previous: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditHead(Table, table=True):
    """One row, moved by the database itself: where the audit log ends."""

    __tablename__ = "audit_head"

    single: bool = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Span(Table, table=True):
    """One span of a trace, with allowed attributes only."""

    __table_args__ = (
        Index("span_of_trace", "trace_id"),
        Index("entry_by_time", "started_at", postgresql_where=text("entry")),
        Index("span_by_time", "started_at", postgresql_using="brin"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    service: str
    name: str
    kind: str
    started_at: datetime = _instant()
    duration_ms: float
    status: str
    attributes: dict[str, Any] = _json()
    entry: bool = Field(description="The trace came in here: it has no parent, or a partner's own span is it.")
