"""What the lists of the HSDS API can be asked for, and the page that they answer."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_directory.schemas import Short

PER_PAGE: Final = 50
MOST_PER_PAGE: Final = 500
"""A page of full services is then some megabytes."""

FARTHEST_M: Final = 200_000
"""Beyond this nobody looks for a place around a postcode."""


class Listed(BaseModel):
    """What every list can be asked for."""

    model_config = ConfigDict(extra="forbid")

    search: Short | None = Field(default=None, description="Full text; accents, case and small errors do not matter.")
    page: int = Field(default=1, ge=1, le=1_000_000_000, description="Number of the page, from 1.")
    per_page: int = Field(default=PER_PAGE, ge=1, le=MOST_PER_PAGE, description="Items of a page.")
    format: Literal["json", "ndjson"] = Field(
        default="json", description="`ndjson`: everything, one document a line, as a stream; no pages."
    )


class Classified(Listed):
    """A list of what is classified."""

    taxonomy_term_id: UUID | None = Field(default=None, description="Bears this term; a theme takes its children.")
    taxonomy_id: UUID | None = Field(default=None, description="Bears any term of this taxonomy.")
    full: bool = Field(default=False, description="Everything nested; else plain members alone.")


class ServiceList(Classified):
    """Parameters of `/hsds/services`."""

    organization_id: UUID | None = Field(default=None, description="Of this organisation.")
    modified_after: datetime | None = Field(
        default=None, description="Changed here then or later; without an offset it is UTC."
    )
    minimal: bool = Field(default=False, description="`id` and `last_modified` alone; all in one page unless paged.")


class PlaceList(Classified):
    """Parameters of `/hsds/service_at_locations`."""

    organization_id: UUID | None = Field(default=None, description="Of this organisation.")
    modified_after: datetime | None = Field(
        default=None, description="Changed here then or later; without an offset it is UTC."
    )
    postcode: Annotated[str, StringConstraints(pattern=r"^([a-z]{2}:)?[0-9A-Za-z -]{3,10}$")] | None = Field(
        default=None,
        description="For whom lives there: in the service's area, or, where it tells none, given there. "
        "Of the territory's country, or with it: `fr:97400`.",
    )
    proximity: float | None = Field(
        default=None, gt=0, le=FARTHEST_M, description="Metres around the middle of the postcode's place."
    )


class OrganizationList(Classified):
    """Parameters of `/hsds/organizations`."""

    full_service: bool = Field(default=False, description="Its services nested in full.")


class TaxonomyList(Listed):
    """Parameters of `/hsds/taxonomies`."""


class TermList(Listed):
    """Parameters of `/hsds/taxonomy_terms`."""

    taxonomy_id: UUID | None = Field(default=None, description="Of this taxonomy.")
    top_only: bool = Field(default=False, description="Only terms without a parent.")
    parent_id: UUID | None = Field(default=None, description="Only terms directly below this one.")


class About(BaseModel):
    """What this API is."""

    version: str = Field(description="Version of HSDS.")
    profile: str = Field(description="Where the profile is described.")
    openapi_url: str
    description: str


class Page(BaseModel):
    """One page of a list."""

    total_items: int
    total_pages: int
    page_number: int
    size: int = Field(description="Items on this page.")
    first_page: bool
    last_page: bool
    empty: bool
    contents: list[dict[str, Any]]
