"""Settings of the gateway."""

from pathlib import Path
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from relais_gateway.domain.second_steps import For
from relais_shared.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The history of the schema."""


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
    traces_kept_days: int = Field(default=7, ge=1, le=90, description="Days that spans are kept.")

    @property
    def upstreams(self) -> dict[str, list[str]]:
        """Where each service behind the door answers: the addresses of its instances."""
        return {"directory": addresses(self.directory_url), "referral": addresses(self.referral_url)}
