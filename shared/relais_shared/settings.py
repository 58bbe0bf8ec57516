"""Settings that every service has: from the environment or from secret files, unknown names refused."""

import os
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

SECRET_BYTES = 32
"""A service's own secret holds as many bytes as the keyed hashes made from it."""


class SettingsProblem(SystemExit):
    """A setting is missing, unknown or wrong; the text says which and how to set it."""


def relais_home() -> Path:
    """Answer the folder of keys, secrets, logs and the embedded database (`RELAIS_HOME`)."""
    return Path(os.environ.get("RELAIS_HOME", "var")).absolute()


class ServiceSettings(BaseSettings):
    """What every service needs to run; a service's own settings subclass it.

    A subclass sets `service` and `env_prefix="RELAIS_<SERVICE>_"`. A secret may also stand in
    `$RELAIS_HOME/secrets/<name in lower case>`; the environment wins.
    """

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=False)
    service: ClassVar[str]

    home: Path = Field(
        default_factory=relais_home,
        validation_alias="RELAIS_HOME",
        description="Folder of keys, secrets, logs and the embedded database.",
    )
    public_url: str = Field(
        default="http://localhost:8000",
        validation_alias="RELAIS_PUBLIC_URL",
        description="Where the outside reaches the gateway; issuer of tokens, base of links.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=0, description="Port to listen on.")
    dsn: SecretStr = Field(description="PostgreSQL as the service's role, which owns nothing.")
    owner_dsn: SecretStr | None = Field(
        default=None, description="PostgreSQL as the schema's owner; only `migrate` reads it."
    )
    secret: SecretStr = Field(description="32 random bytes in base64url: cursors, fingerprints.")
    database_connections: int = Field(
        default=10, ge=1, le=100, description="Connections of one process to PostgreSQL, at most."
    )
    telemetry_url: str | None = Field(
        default=None,
        validation_alias="RELAIS_TELEMETRY_URL",
        description="OTLP/HTTP receiver, unless the OTEL_* variables name one; none: no export.",
    )
    telemetry_token: SecretStr | None = Field(
        default=None,
        validation_alias="RELAIS_TELEMETRY_TOKEN",
        description="What the gateway's own receiver asks for.",
    )

    @classmethod
    def load(cls, **values: Any) -> Self:  # noqa: ANN401 - field values of any type, judged by pydantic
        """Read the settings once; keyword values win over the environment (tests, tools).

        Raises:
            SettingsProblem: A setting is unknown, missing or wrong; says which and how to set it.
        """
        prefix = str(cls.model_config.get("env_prefix") or "")
        known = {(prefix + name).upper() for name in cls.model_fields}
        unknown = [name for name in os.environ if name.startswith(prefix) and name not in known]
        if prefix and unknown:
            raise SettingsProblem(
                f"Unknown setting {', '.join(sorted(unknown))}. {cls.service} knows: {', '.join(sorted(known))}."
            )
        try:
            return cls(**values)
        except ValidationError as problem:
            lines = []
            for fault in problem.errors():
                name = str(fault["loc"][0]) if fault["loc"] else "?"
                name = name if name.isupper() else (prefix + name).upper()
                lines.append(
                    f"{name}: {fault['msg']}. Set it in the environment, or in the file "
                    f"$RELAIS_HOME/secrets/{name.lower()}."
                )
            raise SettingsProblem("\n".join(lines)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the secret files of `RELAIS_HOME` behind the environment; there is no .env file."""
        del dotenv_settings, file_secret_settings
        init: dict[str, Any] = getattr(init_settings, "init_kwargs", {})
        home = Path(init.get("home") or init.get("RELAIS_HOME") or relais_home())
        return init_settings, env_settings, _SecretFiles(settings_cls, home / "secrets")

    def secret_bytes(self) -> bytes:
        """Answer the service's secret as bytes."""
        text = self.secret.get_secret_value()
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(raw) < SECRET_BYTES:
            raise SettingsProblem(f"The secret of {self.service} is shorter than {SECRET_BYTES} bytes.")
        return raw


class _SecretFiles(PydanticBaseSettingsSource):
    """Files named like the setting, in lower case; an absent folder or file is no answer."""

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls)
        self._folder = folder

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401 - the base's signature
        alias = field.validation_alias
        prefix = str(self.config.get("env_prefix") or "")
        name = alias if isinstance(alias, str) else prefix + field_name
        path = self._folder / name.lower()
        try:
            return path.read_text(encoding="utf-8").strip(), name if alias else field_name, False
        except (FileNotFoundError, NotADirectoryError):
            return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found
