"""Settings of the gateway."""

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from relais_shared.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The history of the schema."""


class GatewaySettings(ServiceSettings):
    """What the gateway needs to run, beside what every service needs."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_GATEWAY_", extra="ignore", populate_by_name=True)
    service: ClassVar[str] = "gateway"

    port: int = Field(default=8000, description="Port to listen on.")
    otlp_port: int = Field(default=8003, description="Loopback port of the OTLP/HTTP receiver and of /metrics.")
    directory_url: str = Field(default="http://127.0.0.1:8001", description="Where the directory answers.")
    referral_url: str = Field(default="http://127.0.0.1:8002", description="Where the referral app answers.")
    token_life_s: int = Field(default=600, ge=60, le=900, description="Life of an access token, in seconds.")
    public_per_minute: int = Field(
        default=120, ge=1, le=100_000, description="Calls a minute from one address to what our services open to all."
    )
    traces_kept_days: int = Field(default=7, ge=1, le=90, description="Days that spans are kept.")
