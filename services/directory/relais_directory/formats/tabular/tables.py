"""The tables of an HSDS package: their columns, what hangs on what, and what older packages call them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Table:
    """One table of HSDS 3.1.

    Attributes:
        file: Its file in a package.
        columns: Its columns, the id first.
        links: A column that holds an id: the table where it is to be found.
        names: What else its file is called.
    """

    file: str
    columns: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def _columns(text: str) -> tuple[str, ...]:
    return ("id", *text.split())


OWNERS: Final = {
    "location_id": "location",
    "service_id": "service",
    "organization_id": "organization",
    "contact_id": "contact",
    "service_at_location_id": "service_at_location",
    "phone_id": "phone",
}
"""What a part can hang on."""


def _owners(*columns: str) -> dict[str, str]:
    return {column: OWNERS[column] for column in columns}


TABLES: Final[Mapping[str, Table]] = {
    "organization": Table(
        "organizations.csv",
        _columns(
            "name alternate_name description email website tax_status tax_id year_incorporated legal_status logo uri"
            " parent_organization_id"
        ),
    ),
    "program": Table(
        "programs.csv", _columns("organization_id name alternate_name description"), _owners("organization_id")
    ),
    "service": Table(
        "services.csv",
        _columns(
            "organization_id program_id name alternate_name description url email status interpretation_services"
            " application_process fees_description wait_time fees accreditations eligibility_description minimum_age"
            " maximum_age assured_date assurer_email licenses alert last_modified"
        ),
        {"organization_id": "organization", "program_id": "program"},
    ),
    "attribute": Table(
        "attributes.csv",
        _columns("link_id taxonomy_term_id link_type link_entity value label"),
        {"taxonomy_term_id": "taxonomy_term"},
        ("other_attribute", "service_attribute", "service_taxonomy", "services_taxonomy", "link_taxonomy"),
    ),
    "service_at_location": Table(
        "service_at_location.csv",
        _columns("service_id location_id description"),
        _owners("service_id", "location_id"),
        ("services_at_location",),
    ),
    "location": Table(
        "locations.csv",
        _columns(
            "location_type url organization_id name alternate_name description transportation latitude longitude"
            " external_identifier external_identifier_type"
        ),
        _owners("organization_id"),
    ),
    "phone": Table(
        "phones.csv",
        _columns(
            "location_id service_id organization_id contact_id service_at_location_id number extension type description"
        ),
        _owners("location_id", "service_id", "organization_id", "contact_id", "service_at_location_id"),
    ),
    "contact": Table(
        "contacts.csv",
        _columns("organization_id service_id service_at_location_id location_id name title department email"),
        _owners("organization_id", "service_id", "service_at_location_id", "location_id"),
    ),
    "address": Table(
        "addresses.csv",
        _columns(
            "location_id attention address_1 address_2 city region state_province postal_code country address_type"
        ),
        _owners("location_id"),
        ("physical_address", "postal_address", "mail_address"),
    ),
    "schedule": Table(
        "schedules.csv",
        _columns(
            "service_id location_id service_at_location_id valid_from valid_to dtstart timezone until count wkst freq"
            " interval byday byweekno bymonthday byyearday description opens_at closes_at schedule_link attending_type"
            " notes"
        ),
        _owners("service_id", "location_id", "service_at_location_id"),
        ("regular_schedule",),
    ),
    "funding": Table(
        "funding.csv", _columns("organization_id service_id source"), _owners("organization_id", "service_id")
    ),
    "service_area": Table(
        "service_areas.csv",
        _columns("service_id service_at_location_id name description extent extent_type uri"),
        _owners("service_id", "service_at_location_id"),
    ),
    "required_document": Table("required_documents.csv", _columns("service_id document uri"), _owners("service_id")),
    "language": Table(
        "languages.csv",
        _columns("service_id location_id phone_id name code note"),
        _owners("service_id", "location_id", "phone_id"),
    ),
    "accessibility": Table(
        "accessibility.csv",
        _columns("location_id description details url"),
        _owners("location_id"),
        ("accessibility_for_disability",),
    ),
    "taxonomy_term": Table(
        "taxonomy_terms.csv",
        _columns("code name description parent_id taxonomy language taxonomy_id term_uri"),
        {"taxonomy_id": "taxonomy"},
    ),
    "taxonomy": Table("taxonomies.csv", _columns("name description uri version")),
    "cost_option": Table(
        "cost_options.csv",
        _columns("service_id valid_from valid_to option currency amount amount_description"),
        _owners("service_id"),
    ),
    "organization_identifier": Table(
        "organization_identifiers.csv",
        _columns("organization_id identifier_scheme identifier_type identifier"),
        _owners("organization_id"),
    ),
    "service_capacity": Table(
        "service_capacity.csv",
        _columns("service_id unit_id available maximum description updated"),
        {"service_id": "service", "unit_id": "unit"},
    ),
    "unit": Table("units.csv", _columns("name scheme identifier uri")),
    "url": Table("url.csv", _columns("label url organization_id service_id"), _owners("organization_id", "service_id")),
}
"""The tables of a package."""

OLDER: Final[Mapping[str, Table]] = {
    "eligibility": Table("eligibility.csv", _columns("service_id eligibility"), _owners("service_id")),
    "payment_accepted": Table("payments_accepted.csv", _columns("service_id payment"), _owners("service_id")),
    "holiday_schedule": Table(
        "holiday_schedules.csv",
        _columns("service_id location_id service_at_location_id closed opens_at closes_at start_date end_date"),
        _owners("service_id", "location_id", "service_at_location_id"),
    ),
    "keyword": Table("", _columns("service_id keyword"), _owners("service_id")),
}
"""Tables that HSDS 3 no longer has; what stands in them goes into others when a service is put together."""

ALL: Final[Mapping[str, Table]] = {**TABLES, **OLDER}
"""Every table that a row can stand in."""

SILENT: Final = frozenset({"meta_table_description", "metadata"})
"""Tables that say something of the package, or of its history, and nothing of a service."""

PARTS: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "service": (
        ("phones", "phone", "service_id"),
        ("schedules", "schedule", "service_id"),
        ("service_areas", "service_area", "service_id"),
        ("languages", "language", "service_id"),
        ("funding", "funding", "service_id"),
        ("cost_options", "cost_option", "service_id"),
        ("required_documents", "required_document", "service_id"),
        ("contacts", "contact", "service_id"),
        ("capacities", "service_capacity", "service_id"),
        ("additional_urls", "url", "service_id"),
        ("service_at_locations", "service_at_location", "service_id"),
    ),
    "organization": (
        ("funding", "funding", "organization_id"),
        ("contacts", "contact", "organization_id"),
        ("phones", "phone", "organization_id"),
        ("programs", "program", "organization_id"),
        ("organization_identifiers", "organization_identifier", "organization_id"),
        ("additional_websites", "url", "organization_id"),
    ),
    "service_at_location": (
        ("contacts", "contact", "service_at_location_id"),
        ("phones", "phone", "service_at_location_id"),
        ("schedules", "schedule", "service_at_location_id"),
        ("service_areas", "service_area", "service_at_location_id"),
    ),
    "location": (
        ("languages", "language", "location_id"),
        ("addresses", "address", "location_id"),
        ("contacts", "contact", "location_id"),
        ("accessibility", "accessibility", "location_id"),
        ("phones", "phone", "location_id"),
        ("schedules", "schedule", "location_id"),
    ),
    "contact": (("phones", "phone", "contact_id"),),
    "phone": (("languages", "language", "phone_id"),),
}
"""The lists of an object: where they stand in it, of which table they are, and by which column they hang on it."""

PARENTS: Final = {"organization": "parent_organization_id", "taxonomy_term": "parent_id"}
"""Tables whose rows stand below one another, and by which column."""


def table_of(stem: str) -> str | None:
    """Answer the table that a file's name (without its ending) means, in the singular or plural; None where unknown."""
    return _BY_NAME.get(stem.lower()) or _BY_NAME.get(_singular(stem.lower()))


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(ending):
            return name.removesuffix(ending) + instead
    return name


_BY_NAME: Final = {
    name: table
    for table, one in ALL.items()
    for name in (table, _singular(one.file.removesuffix(".csv")), one.file.removesuffix(".csv"), *one.names)
    if name
} | {name: name for name in SILENT}
