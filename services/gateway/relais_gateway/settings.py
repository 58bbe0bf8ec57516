"""Settings of the gateway."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from relais_gateway.domain.second_steps import For
from relais_gateway.upstream import AT_ONCE
from relais_shared.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The history of the schema."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""This very machine: a provider of a trial may be asked in the clear."""


def _addresses(given: str) -> str:
    for one in addresses(given):
        parts = urlsplit(one)
        there = parts.scheme == "http" and parts.hostname and parts.port != 0
        if not there or parts.path or parts.query or "@" in parts.netloc:
            raise ValueError(f"{one!r} is no address like http://127.0.0.1:8001")
    return given


def addresses(given: str) -> list[str]:
    """Answer the addresses of a service's instances, at least one."""
    return [one.strip().rstrip("/") for one in given.split(",")]


def _issuer(given: str) -> str:
    parts = urlsplit(given)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("give an https address without a query, as the provider's own document has it")
    return given


Addresses = Annotated[str, AfterValidator(_addresses)]
"""Where the instances of a service answer, with commas between them."""


class GatewaySettings(ServiceSettings):
    """What the gateway needs to run, beside what every service needs."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_GATEWAY_", extra="ignore", populate_by_name=True)
    service: ClassVar[str] = "gateway"

    port: int = Field(default=8000, description="Port to listen on.")
    otlp_port: int = Field(default=8003, description="Loopback port of the OTLP/HTTP receiver and of /metrics.")
    directory_url: Addresses = Field(
        default="http://127.0.0.1:8001", description="Where the directory answers; several instances with commas."
    )
    referral_url: Addresses = Field(
        default="http://127.0.0.1:8002", description="Where the referral app answers; several instances with commas."
    )
    token_life_s: int = Field(default=600, ge=60, le=900, description="Life of an access token, in seconds.")
    public_per_minute: int = Field(
        default=120, ge=1, le=100_000, description="Calls a minute from one address to what our services open to all."
    )
    second_step_for: For = Field(
        default=For.NOBODY,
        description="Who has to have a second step to sign in with a password: nobody, administrators or everybody.",
    )
    provider_issuer: Annotated[str, AfterValidator(_issuer)] | None = Field(
        default=None, description="An OpenID provider by which people sign in too, as it names itself; none: no such."
    )
    provider_client_id: str = Field(
        default="", validate_default=True, description="By which the provider knows this Relais."
    )
    provider_client_secret: SecretStr | None = Field(
        default=None, description="What this Relais shows the provider; none where PKCE is enough there."
    )
    provider_name: str = Field(default="OpenID", max_length=60, description="As people know the provider.")
    own_per_minute: int = Field(
        default=600, ge=1, le=1_000_000, description="Calls a minute from one address to what the gateway opens to all."
    )
    organisation_per_second: int = Field(
        default=100, ge=1, le=1_000_000, description="Calls a second of an organisation's systems in the long run."
    )
    organisation_burst: int = Field(default=200, ge=1, le=1_000_000, description="As many may come at once.")
    organisation_at_once: int = Field(default=32, ge=1, le=100_000, description="Calls under way at the same time.")
    service_at_once: int = Field(
        default=AT_ONCE, ge=1, le=10_000, description="Calls that one instance of a service works on for us at once."
    )
    head_bytes: int = Field(default=16 << 10, ge=4 << 10, le=32 << 10, description="Bytes of a request's head.")
    proxies: list[IPv4Network | IPv6Network] = Field(
        default=[], description="Networks of the proxies before the gateway, as a JSON list; who else says so lies."
    )
    proxy_header: Literal["forwarded", "x-forwarded-for"] = Field(
        default="x-forwarded-for", description="The header in which they name who called."
    )
    traces_kept_days: int = Field(default=7, ge=1, le=90, description="Days that spans are kept.")

    @property
    def upstreams(self) -> dict[str, list[str]]:
        """Where each service behind the door answers: the addresses of its instances."""
        return {"directory": addresses(self.directory_url), "referral": addresses(self.referral_url)}

    @field_validator("provider_client_id")
    @classmethod
    def _known_there(cls, given: str, info: ValidationInfo) -> str:
        if info.data.get("provider_issuer") and not given:
            raise ValueError("a provider knows this Relais by one")
        return given
