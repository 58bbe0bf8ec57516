"""What the referral app asks the directory: the service that a hand-over names, themes, her municipality."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from pydantic import BaseModel

from relais_referral.schemas.referrals import Alternative
from relais_shared import telemetry
from relais_shared.auth import Keyring, system
from relais_shared.client import Client, Response, TransportError
from relais_shared.refusals import Unavailable

NEAR_KM: Final = 15
"""How far another service may be: half an hour by bus around a town."""

FEW: Final = 2_000
"""Inhabitants below which a municipality is not told before somebody takes over (`docs/decisions/0029`)."""

MOST_ALTERNATIVES: Final = 5
"""More would be a list to read while somebody waits."""

CHANGES_AT_ONCE: Final = 1_000
"""As many as the directory gives in one page."""

THEMES_KEPT_FOR: Final = timedelta(minutes=5)
"""Themes hardly ever change; a new one is known five minutes later."""

HOMES_KEPT_FOR: Final = THEMES_KEPT_FOR
"""Municipalities change no more often: asking for hers with every draft was a good part of what one took."""

HOMES_KEPT: Final = 2_000
"""As many as two large regions have; beyond, all are asked for anew."""


class Named(BaseModel):
    """An organisation as the directory names it."""

    id: UUID
    name: str


class Phone(BaseModel):
    """A number of a service."""

    number: str


class Relay(BaseModel):
    """The colleague or desk who takes hand-overs."""

    name: str
    phone: str | None = None
    email: str | None = None


class Address(BaseModel):
    """Where a place is."""

    street: str | None = None
    postcode: str | None = None
    municipality: str | None = None


class Stop(BaseModel):
    """A stop of public transport and the way to walk from it."""

    name: str
    kind: str | None = None
    walk_m: int
    latitude: float | None = None
    longitude: float | None = None


class Site(BaseModel):
    """A place where a service is given, as far as the directory tells it."""

    name: str | None = None
    confidential: bool
    address: Address = Address()
    latitude: float | None = None
    longitude: float | None = None
    precision: str | None = None
    nearest_stops: list[Stop] = []


class Home(BaseModel):
    """A municipality of the gazetteer."""

    name: str
    province: str
    population: int

    @property
    def wide(self) -> str | None:
        """The wider area that is told instead, where so few live that the municipality would tell who she is."""
        return self.province if self.population < FEW else None


class NamedService(BaseModel):
    """What a hand-over needs to know of the service that it names."""

    id: UUID
    name: str
    organisation: Named
    can_receive: str
    status: str = "active"
    sensitive: bool = False
    email: str | None = None
    phones: list[Phone] = []
    relay_contact: Relay | None = None
    locations: list[Site] = []

    @property
    def address(self) -> str | None:
        """The e-mail at which the service itself is reached: its own, or its contact's for professionals."""
        return self.email or (self.relay_contact.email if self.relay_contact else None)

    @property
    def numbers(self) -> list[str]:
        """The telephone numbers of the service, its contact's for professionals first, each once."""
        relay = [self.relay_contact.phone] if self.relay_contact and self.relay_contact.phone else []
        return list(dict.fromkeys([*relay, *(phone.number for phone in self.phones)]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What another service would have to offer."""

    themes: tuple[str, ...]
    municipality: str
    not_service_id: UUID
    suggested: tuple[str, ...] = ()


class Theme(BaseModel):
    """A theme of the directory's taxonomy."""

    slug: str
    sensitive: bool = False


class ChangedService(BaseModel):
    """A service at its last change."""

    id: UUID
    version: int
    gone: bool
    capacity_at: datetime | None = None


class Changes(BaseModel):
    """A page of the directory's change feed."""

    items: list[ChangedService]
    more: bool
    next_cursor: str | None


class Directory:
    """The directory, asked as the referral app itself.

    Args:
        client: Toward the directory.
        keyring: Signs our assertions.
    """

    def __init__(self, client: Client, keyring: Keyring) -> None:
        self.client = client
        self._keyring = keyring
        self._themes: dict[str, Theme] = {}
        self._themes_until: datetime | None = None
        self._homes: dict[str, tuple[Home, datetime]] = {}

    async def service(self, service_id: UUID) -> NamedService | None:
        """Answer a service, or nothing where the directory has none such.

        Raises:
            Unavailable: The directory does not answer.
        """
        answer = await self._get(f"/v1/directory/services/{service_id}")
        return NamedService.model_validate_json(answer) if answer is not None else None

    async def home(self, municipality: str, now: datetime) -> Home | None:
        """Answer a municipality by its code, or nothing where the gazetteer has none such.

        Raises:
            Unavailable: The directory does not answer, and was not asked for it lately.
        """
        kept, until = self._homes.get(municipality, (None, now))
        if kept is not None and now < until:
            return kept
        answer = await self._get(f"/v1/directory/places/{quote(municipality)}")
        if answer is None:
            return None
        if len(self._homes) >= HOMES_KEPT:
            self._homes.clear()
        home = Home.model_validate_json(answer)
        self._homes[municipality] = home, now + HOMES_KEPT_FOR
        return home

    async def themes(self, now: datetime) -> dict[str, Theme]:
        """Answer the themes by slug.

        Raises:
            Unavailable: The directory does not answer, and we never asked it before.
        """
        if self._themes_until is None or now >= self._themes_until:
            try:
                answer = await self._get("/v1/directory/themes")
            except Unavailable:
                if not self._themes:
                    raise
            else:
                found = _Themes.model_validate_json(answer or b'{"items": []}').items
                self._themes = {theme.slug: theme for theme in found}
            self._themes_until = now + THEMES_KEPT_FOR
        return self._themes

    async def alternatives(self, wanted: Wanted) -> list[Alternative]:
        """Answer other services for the same themes near an area: suggested, then with open places, then near.

        Raises:
            Unavailable: The directory does not answer.
        """
        found: dict[str, Alternative] = {}
        for theme in wanted.themes:
            query = {"theme": theme, "municipality": wanted.municipality, "radius_km": NEAR_KM, "limit": 20}
            answer = await self._get(f"/v1/directory/search?{urlencode(query)}")
            for card in _Cards.model_validate_json(answer or b'{"items": []}').items:
                if card.service.id != wanted.not_service_id:
                    found.setdefault(str(card.service.id), card.alternative(wanted.suggested))
        ordered = sorted(
            found.values(),
            key=lambda one: (not one.suggested, not one.available, one.distance_m is None, one.distance_m or 0),
        )
        return ordered[:MOST_ALTERNATIVES]

    async def changes(self, cursor: str | None) -> "Changes":
        """Answer a page of what changed in the directory since a cursor of its feed, or from its beginning.

        Raises:
            Unavailable: The directory does not answer.
            ValueError: It no longer knows the cursor.
        """
        query = {"limit": CHANGES_AT_ONCE} | ({"since": cursor} if cursor else {})
        answer = await self._ask(f"/v1/directory/changes?{urlencode(query)}", telemetry.apart())
        if answer.status_code == 422:  # noqa: PLR2004 - a status of HTTP
            raise ValueError("The cursor is not known.")
        if not answer.is_success:
            raise Unavailable("The directory cannot answer now.")
        return Changes.model_validate_json(answer.content)

    async def answers(self) -> bool:
        """Say whether the directory is alive."""
        try:
            with suppress_instrumentation():
                return (await self.client.get("/healthz")).is_success
        except TransportError:
            return False

    async def _ask(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        token = self._keyring.sign("directory", system("referral", "directory:read"))
        try:
            return await self.client.get(path, headers={"Authorization": f"Bearer {token}", **(headers or {})})
        except TransportError as fault:
            raise Unavailable("The directory does not answer. Nothing was stored; try again.") from fault

    async def _get(self, path: str) -> bytes | None:
        answer = await self._ask(path)
        if answer.is_success:
            return answer.content
        if answer.status_code == 404:  # noqa: PLR2004 - a status of HTTP
            return None
        raise Unavailable("The directory cannot answer now. Nothing was stored; try again.")


class _Place(BaseModel):
    address: dict[str, str | None] = {}


class _Capacity(BaseModel):
    available: int | None = None
    held: bool = True


class _Card(BaseModel):
    service: Named
    organisation: Named
    location: _Place | None = None
    distance_m: int | None = None
    capacity: _Capacity | None = None
    can_receive: str

    def alternative(self, suggested: tuple[str, ...]) -> Alternative:
        """Answer it as another service; an open place that was told long ago is no promise."""
        known = self.capacity is not None and self.capacity.held
        return Alternative(
            service_id=self.service.id,
            name=self.service.name,
            organisation=self.organisation.name,
            municipality=self.location.address.get("municipality") if self.location else None,
            distance_m=self.distance_m,
            available=self.capacity.available if self.capacity and known else None,
            can_receive=self.can_receive,
            suggested=str(self.service.id) in suggested,
        )


class _Cards(BaseModel):
    items: list[_Card]


class _Themes(BaseModel):
    items: list[Theme]
