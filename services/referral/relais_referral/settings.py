"""Settings of the referral app."""

from pathlib import Path
from typing import ClassVar, Final, Literal, Self

from pydantic import EmailStr, Field, SecretStr, model_validator
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
    smtp_host: str | None = Field(default=None, description="Server that takes our e-mail; none: no e-mail leaves.")
    smtp_port: int = Field(default=587, description="Its port.")
    smtp_security: Literal["starttls", "none"] = Field(
        default="starttls", description="`none` to a server on this very machine alone."
    )
    smtp_user: str | None = Field(default=None, description="Who signs in there; none: nobody has to.")
    smtp_password: SecretStr | None = Field(default=None, description="With which password.")
    smtp_from: EmailStr = Field(default="relais@localhost.example", description="Whom our e-mail comes from.")
    smtp_bounces_to: EmailStr = Field(
        default="relais-bounce@localhost.example",
        description="Where what comes back is taken, with `+anything` before the @ (`relais mail bounce` reads it).",
    )
    smtp_timezone: str = Field(default="Europe/Brussels", description="Whose clocks quiet hours are read from.")

    criteria_file: Path | None = Field(
        default=None, description="A territory's own quality criteria (TOML, docs/figures.md); none: those of Relais."
    )

    @model_validator(mode="after")
    def _sealed_on_the_way(self) -> Self:
        if self.smtp_host and self.smtp_security == "none" and self.smtp_host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("RELAIS_REFERRAL_SMTP_SECURITY: `none` is for a server on this very machine alone.")
        return self
