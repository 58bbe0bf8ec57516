"""Settings of the referral app."""

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from relais_shared.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The history of the schema."""


class ReferralSettings(ServiceSettings):
    """What the referral app needs to run, beside what every service needs."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_REFERRAL_", extra="ignore", populate_by_name=True)
    service: ClassVar[str] = "referral"

    port: int = Field(default=8002, description="Port to listen on.")
    directory_url: str = Field(default="http://127.0.0.1:8001", description="Where the directory answers.")
    gateway_url: str = Field(default="http://127.0.0.1:8000", description="Where the gateway answers.")
    webhook_ports: list[int] = Field(default=[443, 8443], description="Ports of receivers that may be called.")
    webhook_loopback: bool = Field(
        default=False,
        description="Also call `http` on this very machine: for demonstration and development alone.",
    )
