"""Settings of the directory."""

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from relais_directory.data import take
from relais_directory.data.own import own_themes
from relais_shared.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The history of the schema."""


class DirectorySettings(ServiceSettings):
    """What the directory needs to run, beside what every service needs."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_DIRECTORY_", extra="ignore", populate_by_name=True)
    service: ClassVar[str] = "directory"

    port: int = Field(default=8001, description="Port to listen on.")
    gateway_url: str = Field(default="http://127.0.0.1:8000", description="Where the gateway answers.")
    country: str = Field(
        default="be", pattern="^[a-z]{2}$", description="Country of the territory: what a bare code is of."
    )
    words: Path | None = Field(
        default=None, description="A JSON file with the territory's own words for themes, beside those that come along."
    )
    themes: Path | None = Field(
        default=None, description="A JSON file with the territory's own themes, beside those that come along."
    )

    @field_validator("themes")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            own_themes(file)
        return file

    def take_themes(self) -> None:
        """Let this process know the territory's own themes; before it is asked for any."""
        take(own_themes(self.themes) if self.themes else [])
