"""HSDS 3.0 and 3.1 both ways: a service with all that hangs on it becomes a canonical record, and a record a service.

What HSDS has no term for travels as attributes of three taxonomies of ours (docs/hsds.md): `relais:themes`,
`relais:audiences`, and `relais`, whose terms are our fields. So a service that goes out and comes in again is the same.
"""

from relais_directory.formats.hsds.foreign import themes_named
from relais_directory.formats.hsds.nodes import Made
from relais_directory.formats.hsds.reading import organisation, record
from relais_directory.formats.hsds.terms import (
    AUDIENCES,
    NAMESPACE,
    OWN,
    STATUSES,
    TERMS,
    THEMES,
    Json,
    Version,
    location_id,
    service_at_location_id,
    taxonomies,
    taxonomy_terms,
    term_ids,
)
from relais_directory.formats.hsds.writing import metadata, organisation_document, service, service_at_location

__all__ = [
    "AUDIENCES",
    "NAMESPACE",
    "OWN",
    "STATUSES",
    "TERMS",
    "THEMES",
    "Json",
    "Made",
    "Version",
    "location_id",
    "metadata",
    "organisation",
    "organisation_document",
    "record",
    "service",
    "service_at_location",
    "service_at_location_id",
    "taxonomies",
    "taxonomy_terms",
    "term_ids",
    "themes_named",
]
