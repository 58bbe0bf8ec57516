"""A service, or organisation, as HSDS tells it becomes a canonical record; every fault keeps its HSDS path."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

from relais_directory.data import audiences, audiences_of, themes, themes_of
from relais_directory.domain.words import plain
from relais_directory.formats import naming
from relais_directory.formats.hsds import values
from relais_directory.formats.hsds.foreign import NOT_A_NEED, WHEELCHAIR_WORDS, themes_named
from relais_directory.formats.hsds.nodes import Made, Node
from relais_directory.formats.hsds.terms import (
    AUDIENCES,
    MANY,
    NAMESPACE,
    OBJECT,
    OBJECTS,
    OWN,
    OWN_FIELDS,
    STATUSES,
    THEMES,
    join,
    listed,
    location_id,
    service_at_location_id,
    shape_of,
    unit_id,
)
from relais_directory.formats.schedules import opening_hours
from relais_directory.records import (
    AccessibilityRecord,
    AddressRecord,
    AreaRecord,
    Attribute,
    CapacityRecord,
    ContactRecord,
    LanguageRecord,
    LocationRecord,
    OrganisationProfile,
    Part,
    PhoneRecord,
    ScheduleRecord,
    ServiceRecord,
    Taxonomy,
    TaxonomyTerm,
    UrlRecord,
)

UNTOLD: Final = frozenset({"-", "--", "n/a", "na", "none", "null", "unknown", "."})
"""What others write into a required member that they do not know."""

LINKS: Final = frozenset(
    {
        "service_id", "location_id", "organization_id", "program_id", "contact_id", "phone_id",
        "service_at_location_id", "link_id", "link_entity", "taxonomy_term_id", "unit_id",
    }
)  # fmt: skip
"""Members that say again on what a part hangs."""

_CODE: Final = re.compile(r"[a-z]{2}:[0-9A-Z]{2,6}")


def record(
    document: Mapping[str, Any], *, organisation: Mapping[str, Any] | None = None, country: str | None = None
) -> Made:
    """Answer the canonical record of a service, not yet judged.

    Args:
        document: A full HSDS service.
        organisation: The HSDS organization, where the service names it by `organization_id` alone.
        country: ISO code of the country of addresses that name none.
    """
    made = Made(ServiceRecord)
    reading = _Reading(values.uuid_of(document.get("id")), made.remarks, country)
    reading.service(document, organisation, made)
    return made


def organisation(document: Mapping[str, Any]) -> Made:
    """Answer an HSDS organization as a canonical record without a service: `{"organisation": {...}}`."""
    made = Made(ServiceRecord)
    made["organisation"] = _Reading(None, made.remarks, None).organisation(document, "")
    return made


class _Reading:
    """One document on its way in.

    Args:
        root: The id of the document: ids that were made of it are not kept, for they can be made again.
        remarks: Where what is to be said goes.
        country: Of addresses that name none.
    """

    def __init__(self, root: UUID | None, remarks: list[tuple[str, str]], country: str | None) -> None:
        self._root = root
        self._remarks = remarks
        self._country = country
        self._ours = False
        """The document came out of a directory like this one: nothing in it has to be guessed."""

    def service(self, given: Mapping[str, Any], organisation: Mapping[str, Any] | None, made: Made) -> None:
        """Fill a record from a service."""
        own, _foreign = values.parted(given.get("attributes"))
        self._ours = any(code == "modes" for code, _value in own)
        by_hand = {
            "status", "fees", "organization", "organization_id", "service_at_locations", "service_areas", "capacities",
            "assurer_email", "last_modified",
        }  # fmt: skip
        self._fill(made, given, "", by_hand)
        made.pop("id", None)
        if (id_ := values.told(given.get("id"))) is not None:
            made["record_id"] = str(id_)
            if self._root:
                made["id"] = str(self._root)
        self._status(given, made)
        owner = given.get("organization") or organisation
        if isinstance(owner, Mapping):
            nested = _Reading(None, self._remarks, self._country)
            nested._ours = self._ours
            made["organisation"] = nested.organisation(owner, "organization")
        elif owner is not None:
            made["organisation"] = owner
        self._fees(given, made)
        self._assurance(given, made)
        self._areas(given, made)
        self._capacity(given.get("capacities"), made)
        self._places(given, made)
        self._classified(given, made)
        if not self._ours:
            self._guess(made)

    def organisation(self, given: Mapping[str, Any], at: str) -> Node:
        """Answer an organisation, and where it stood."""
        id_ = values.told(given.get("id"))
        self._root = values.uuid_of(id_)
        node = Node(at, OrganisationProfile)
        self._fill(node, given, "", {"locations", "services"})
        node.pop("id", None)
        if id_ is not None:
            node["record_id"] = str(id_)
        if self._root:
            node["id"] = str(self._root)
        if values.list_of(given.get("locations")):
            self._remark(join(at, "locations"), "Places of an organisation are told by its services.")
        return node

    def _status(self, given: Mapping[str, Any], made: Made) -> None:
        told = values.told(given.get("status"))
        if told is None:
            self._remark("status", "No status: taken as active.")
            return
        ours = {theirs: name for name, theirs in STATUSES.items()}
        spelt = told.lower().replace("_", " ") if isinstance(told, str) else told
        made["status"] = ours.get(spelt, told) if isinstance(spelt, str) else spelt

    def _fees(self, given: Mapping[str, Any], made: Made) -> None:
        """Keep the older member `fees` where it says more than `fees_description`."""
        older, newer = values.told(given.get("fees")), made.get("fees")
        if older is not None and newer is None:
            made["fees"] = older
            made.names["fees"] = "fees"
        elif isinstance(older, str) and isinstance(newer, str) and older not in newer:
            made["fees"] = f"{newer}\n{older}"

    def _assurance(self, given: Mapping[str, Any], made: Made) -> None:
        if (assurer := values.told(given.get("assurer_email"))) is not None and "assured_by" not in made:
            made["assured_by"] = assurer
        changed = values.told(given.get("last_modified"))
        if changed is not None and not self._ours:
            made["updated_at"] = self._moment(changed, "last_modified")

    def _moment(self, told: Any, at: str) -> Any:  # noqa: ANN401 - whatever stood there
        """Answer a moment with its offset; a day begins at midnight, and both are UTC where nothing else is said."""
        if not isinstance(told, str):
            return told
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", told):
            told += "T00:00:00"
        if re.search(r"(Z|[+-]\d{2}:?\d{2})$", told, re.IGNORECASE):
            return told
        self._remark(at, "A moment without its offset: taken as UTC.")
        return f"{told}Z"

    def _areas(self, given: Mapping[str, Any], made: Made) -> None:
        codes: list[str] = []
        others: list[Any] = []
        told = [
            (f"service_areas.{number}", area) for number, area in enumerate(values.list_of(given.get("service_areas")))
        ]
        for place, entry in enumerate(values.list_of(given.get("service_at_locations"))):
            if isinstance(entry, Mapping):
                below = f"service_at_locations.{place}.service_areas"
                told += [
                    (f"{below}.{number}", area)
                    for number, area in enumerate(values.list_of(entry.get("service_areas")))
                ]
        for at, area in told:
            code = str(area.get("uri") or "") if isinstance(area, Mapping) else ""
            if _CODE.fullmatch(code):
                codes.append(code)
            else:
                others.append(self._one(AreaRecord, area, at, f"other_areas.{len(others)}"))
        if codes:
            made["service_area"] = list(dict.fromkeys(codes))
        if others:
            made["other_areas"] = others

    def _capacity(self, given: Any, made: Made) -> None:  # noqa: ANN401 - whatever stood there
        told = values.list_of(given)
        if not told:
            return
        if len(told) > 1:
            self._remark("capacities.1", "One capacity of a service is kept: the first.")
        capacity = self._one(CapacityRecord, told[0], "capacities.0", "capacity", {"unit"})
        made["capacity"] = capacity
        if not isinstance(capacity, Node):
            return
        capacity.pop("id", None)
        unit = told[0].get("unit")
        if isinstance(unit, Mapping):
            if values.uuid_of(unit.get("id")) != unit_id(None) and (name := values.told(unit.get("name"))) is not None:
                capacity["unit"] = name
        elif unit is not None:
            capacity["unit"] = unit
        if "updated_at" in capacity:
            capacity["updated_at"] = self._moment(capacity["updated_at"], "capacities.0.updated")

    def _places(self, given: Mapping[str, Any], made: Made) -> None:
        if (told := given.get("service_at_locations")) is not None and not isinstance(told, list):
            made["locations"] = told
            made.setdefault("modes", ["on_site"])
            return
        places: list[Any] = []
        remote = False
        for number, entry in enumerate(told or ()):
            at = f"service_at_locations.{number}"
            location = entry.get("location") if isinstance(entry, Mapping) else None
            if isinstance(location, Mapping) and location.get("location_type") in ("virtual", "postal"):
                remote = remote or location["location_type"] == "virtual"
                self._fold(location, entry, at, made)
            elif isinstance(entry, Mapping):
                places.append(self._place(entry, given, at, len(places)))
            else:
                places.append(entry)
        if places:
            made["locations"] = places
        if self._ours:
            return
        modes = [mode for mode, there in (("on_site", places), ("remote", remote)) if there]
        if not modes:
            self._remark("service_at_locations", "No place is told: taken as given at a distance.")
        made["modes"] = modes or ["remote"]
        made.names["modes"] = "service_at_locations"

    def _fold(self, location: Mapping[str, Any], entry: Mapping[str, Any], at: str, made: Made) -> None:
        """Keep of a place where nobody goes what belongs to the service: its numbers, people, hours and address."""
        for outer, given in ((at, entry), (f"{at}.location", location)):
            for theirs, kind in (("phones", PhoneRecord), ("contacts", ContactRecord), ("schedules", ScheduleRecord)):
                parts = self._many(kind, values.list_of(given.get(theirs)), f"{outer}.{theirs}", f"{at}.{theirs}")
                if parts and isinstance(made.setdefault(theirs, []), list):
                    made[theirs] = values.together(made[theirs], parts)
        link = values.told(location.get("url"))
        if link is not None and link != made.get("website"):
            url = Node(f"{at}.location", UrlRecord)
            url["url"] = link
            if isinstance(made.setdefault("additional_urls", []), list):
                made["additional_urls"].append(url)
        if values.list_of(location.get("addresses")):
            self._remark(f"{at}.location.addresses", "An address where nobody goes: not taken.")

    def _place(self, entry: Mapping[str, Any], service: Mapping[str, Any], at: str, number: int) -> Node:
        """Answer a place of the service; what is told of the pair is told of the place."""
        given, below, made = entry.get("location"), f"{at}.location", f"locations.{number}"
        node = Node(below, LocationRecord)
        if not isinstance(given, Mapping):
            node.names["address"] = below
            return node
        own, _foreign = values.parted(given.get("attributes"))
        told = dict(own)
        self._fill(node, given, made, {"location_type", "addresses", "accessibility", "schedules"})
        id_ = values.told(given.get("id"))
        if values.uuid_of(id_) is None and id_ is not None and "record_id" not in node:
            node["record_id"] = str(id_)
        elif self._root and values.uuid_of(id_) == location_id(self._root, node, number):
            node.pop("id", None)
        elif (given_id := values.uuid_of(id_)) is not None:
            node["id"] = str(given_id)
        at_id = values.uuid_of(entry.get("id"))
        if at_id and self._root:
            whole = values.uuid_of(node.get("id")) or location_id(self._root, node, number)
            if at_id != service_at_location_id(self._root, whole):
                node["at_id"] = str(at_id)
        self._addresses(given, node, below, made)
        self._accessibility(given, node, below, made)
        self._pair(entry, node, at, made)
        hours = self._many(
            ScheduleRecord, values.list_of(given.get("schedules")), f"{below}.schedules", f"{made}.schedules"
        )
        if not self._ours:
            pairs = values.list_of(entry.get("schedules"))
            hours = values.together(self._many(ScheduleRecord, pairs, f"{at}.schedules", f"{made}.at.schedules"), hours)
            if "opening_hours" not in told:
                self._hours(
                    node,
                    (f"{at}.schedules", pairs),
                    ("schedules", values.list_of(service.get("schedules"))),
                    (f"{below}.schedules", values.list_of(given.get("schedules"))),
                )
        if hours:
            node["schedules"] = hours
        return node

    def _pair(self, entry: Mapping[str, Any], node: Node, at: str, made: str) -> None:
        """Add to a place what is told of the service there."""
        known = {"id", "location", "phones", "contacts", "schedules", "service_areas", "description", "service", *LINKS}
        for name in entry.keys() - known:
            self._unknown(join(at, name), name)
        for theirs, kind in (("phones", PhoneRecord), ("contacts", ContactRecord)):
            parts = self._many(kind, values.list_of(entry.get(theirs)), f"{at}.{theirs}", f"{made}.at.{theirs}")
            if parts and isinstance(node.setdefault(theirs, []), list):
                node[theirs] = values.together(parts, node[theirs])
        about, more = node.get("description"), values.told(entry.get("description"))
        if more is not None and about is None:
            node["description"] = more
            node.names["description"] = f"{at}.description"
        elif isinstance(more, str) and isinstance(about, str) and more not in about:
            node["description"] = f"{about}\n\n{more}"

    def _addresses(self, given: Mapping[str, Any], node: Node, at: str, made: str) -> None:
        told = given.get("addresses")
        if told is not None and not isinstance(told, list):
            node["address"] = told
            return
        addresses = [(f"{at}.addresses.{number}", address) for number, address in enumerate(told or ())]
        if not self._ours:
            # The one where people go stands first.
            addresses.sort(key=lambda one: not isinstance(one[1], Mapping) or one[1].get("address_type") == "postal")
        parts = [
            self._address(address, where, f"{made}.{'address' if not number else f'other_addresses.{number - 1}'}")
            for number, (where, address) in enumerate(addresses)
        ]
        if parts:
            node["address"], *others = parts
            if others:
                node["other_addresses"] = others
        elif self._country:
            node["address"] = Node(f"{at}.addresses", AddressRecord)
            node["address"]["country"] = self._country

    def _address(self, given: Any, at: str, made: str) -> Any:  # noqa: ANN401 - whatever stood there
        node = self._one(AddressRecord, given, at, made)
        if not isinstance(node, Node):
            return node
        for name, value in list(node.items()):
            if isinstance(value, str) and value.lower() in UNTOLD and not self._ours:
                del node[name]
        if node.get("type") == "physical":
            del node["type"]
        code = str(node.get("municipality_code") or "")
        if "country" not in node and (told := code[:2].upper() or self._country):
            node["country"] = told
        return node

    def _accessibility(self, given: Mapping[str, Any], node: Node, at: str, made: str) -> None:
        kept: list[Any] = []
        for number, entry in enumerate(values.list_of(given.get("accessibility"))):
            own, _foreign = values.parted(entry.get("attributes") if isinstance(entry, Mapping) else None)
            if wheelchair := [value for code, value in own if code == "wheelchair"]:
                node["wheelchair"] = wheelchair[0]
                node.names["wheelchair"] = f"{at}.accessibility.{number}.attributes"
                continue
            part = self._one(
                AccessibilityRecord, entry, f"{at}.accessibility.{number}", f"{made}.accessibility.{len(kept)}"
            )
            kept.append(part)
            if not self._ours and isinstance(part, Node) and plain(str(part.get("description"))) in WHEELCHAIR_WORDS:
                node["wheelchair"] = True
        if kept:
            node["accessibility"] = kept

    def _hours(self, node: Node, *told: tuple[str, list[Any]]) -> None:
        """Translate the schedules that are nearest to the service at the place, where they are simple enough."""
        for at, given in told:
            if given:
                hours = opening_hours(one for one in given if isinstance(one, Mapping))
                if hours is not None:
                    node["opening_hours"] = hours
                    node.names["opening_hours"] = at
                else:
                    self._remark(at, "Schedules that are no weekly hours: shown, not searched.")
                return

    def _classified(self, given: Mapping[str, Any], made: Made) -> None:
        """Read our own themes and audiences, and keep what is of other taxonomies."""
        known = {THEMES: ("themes", themes()), AUDIENCES: ("audiences", audiences())}
        found: dict[str, list[str]] = {}
        kept: list[Any] = []
        for number, attribute in enumerate(values.list_of(given.get("attributes"))):
            taxonomy, code, _value = values.of_ours(attribute)
            if taxonomy in known and code in known[taxonomy][1]:
                found.setdefault(known[taxonomy][0], []).append(code)
            elif taxonomy != OWN:
                if taxonomy in known:
                    self._remark(
                        f"attributes.{number}", "A term that this directory does not have: kept, not searched."
                    )
                kept.append(self._attribute(attribute, f"attributes.{number}", f"attributes.{len(kept)}"))
        made |= {name: list(dict.fromkeys(codes)) for name, codes in found.items()}
        kept = [one for one in kept if one is not None]
        made.pop("attributes", None)
        if kept:
            made["attributes"] = kept

    def _guess(self, made: Made) -> None:
        """Say in our words what a document of another house says in its own."""
        found: list[str] = list(made.get("themes", ()))
        whom: list[str] = list(made.get("audiences", ()))
        for attribute in values.list_of(made.get("attributes")):
            term = attribute.get("taxonomy_term") if isinstance(attribute, Mapping) else None
            if isinstance(term, Mapping):
                code, name = str(term.get("code") or ""), str(term.get("name") or "")
                taxonomy = str(term.get("taxonomy") or "").lower().replace("open eligibility", "")
                kind = f"{attribute.get('link_type') or ''} {taxonomy}"
                found += themes_of([code]) if "--" in code else ()
                whom += audiences_of([code])
                found += () if NOT_A_NEED.search(kind) else themes_named(name)
        for word in values.list_of(made.get("keywords")):
            found += themes_named(str(word))
        if found:
            made["themes"] = list(dict.fromkeys(found))
            made.names["themes"] = "attributes"
        if whom:
            made["audiences"] = list(dict.fromkeys(whom))
        amounts = [one.get("amount") for one in values.list_of(made.get("cost_options")) if isinstance(one, Mapping)]
        if amounts and None not in amounts and "free" not in made:
            made["free"] = all(str(amount) in {"0", "0.0", "0.00"} for amount in amounts)
            made.names["free"] = "cost_options"
        if made.get("email") and "can_receive" not in made:
            made["can_receive"] = "guest"

    def _fill(self, node: Node, given: Mapping[str, Any], made: str, by_hand: set[str] | frozenset[str]) -> None:
        """Fill a part with the plain members and nested parts of an object.

        Args:
            node: The part.
            given: The HSDS object.
            made: Its path in the record, of which its id is made where it has none.
            by_hand: Members that the caller reads.
        """
        shape = shape_of(node.kind)
        own, _foreign = values.parted(given.get("attributes"))
        stand_ins = [value for code, value in own if code == "not_told"]
        for name, value in given.items():
            told = values.told(value)
            if told is None or name in by_hand or name in stand_ins:
                continue
            if name in shape.scalars:
                node[shape.scalars[name]] = values.scalar(name, told)
            elif name in shape.parts:
                ours, kind, many = shape.parts[name]
                at, path = join(node.at, name), join(made, ours)
                node[ours] = self._many(kind, told, at, path) if many else self._one(kind, told, at, path)
            elif name == "id":
                self._id(node, told, made)
            elif name == "attributes":
                self._attributes(node, told, made)
            elif name not in LINKS:
                self._unknown(join(node.at, name), name)
        self._own(node, own)

    def _unknown(self, at: str, name: str) -> None:
        if name == "metadata":
            self._remark(at, "The history of its source: not taken.")
        else:
            self._remark(at, "Not a member that this directory knows: left out.")

    def _id(self, node: Node, told: Any, made: str) -> None:  # noqa: ANN401 - whatever stood there
        id_ = values.uuid_of(told)
        if node.kind in {Taxonomy, TaxonomyTerm}:
            node["id"] = str(id_ or uuid5(NAMESPACE, f"{node.kind.__name__}|{told}"))
        elif id_ is None:
            if node.kind not in {ServiceRecord, OrganisationProfile, LocationRecord}:
                self._remark(join(node.at, "id"), "Not a UUID: left out.")
        elif self._root is None or id_ != uuid5(self._root, made):
            node["id"] = str(id_)

    def _own(self, node: Node, own: Sequence[tuple[str, Any]]) -> None:
        """Read the fields that travel as attributes."""
        kinds = OWN_FIELDS.get(ServiceRecord if isinstance(node, Made) else node.kind, {})
        for code, value in own:
            kind = kinds.get(code)
            if kind in {MANY, OBJECTS}:
                node.setdefault(code, []).append(values.parsed(value) if kind == OBJECTS else value)
            elif kind is not None:
                node[code] = values.parsed(value) if kind == OBJECT else value
            elif code == "as_told" and isinstance(told := values.parsed(value), Mapping):
                theirs = str(told.get("field"))
                node[shape_of(node.kind).scalars.get(theirs, theirs)] = told.get("value")
                continue
            else:
                continue
            node.names[code] = join(node.at, "attributes")
        if isinstance(node.get("conditions"), list) and node.get("eligibility_description") == listed(
            node["conditions"]
        ):
            # It was made of them for those who read HSDS alone.
            del node["eligibility_description"]

    def _attributes(self, node: Node, given: Any, made: str) -> None:  # noqa: ANN401 - whatever stood there
        """Keep the attributes of a part that are not ours."""
        if "attributes" not in node.kind.model_fields:
            return
        if not isinstance(given, list):
            node["attributes"] = given
            return
        kept: list[Any] = []
        for number, attribute in enumerate(given):
            if values.of_ours(attribute)[0] != OWN:
                at = join(node.at, f"attributes.{number}")
                part = self._attribute(attribute, at, join(made, f"attributes.{len(kept)}"))
                kept += [part] if part is not None else []
        if kept:
            node["attributes"] = kept

    def _attribute(self, given: Any, at: str, made: str) -> Any:  # noqa: ANN401 - whatever stood there
        node = self._one(Attribute, given, at, made)
        if not isinstance(node, Node):
            return node
        term = node.get("taxonomy_term")
        if isinstance(term, Node):
            term.setdefault("name", term.get("code") or node.get("label") or node.get("value"))
            term.setdefault("description", term["name"])
            for name in ("parent_id", "taxonomy_id"):
                if name in term and values.uuid_of(term[name]) is None:
                    kind = TaxonomyTerm if name == "parent_id" else Taxonomy
                    term[name] = str(uuid5(NAMESPACE, f"{kind.__name__}|{term[name]}"))
            if "id" not in term:
                term["id"] = str(uuid5(NAMESPACE, f"{term.get('taxonomy')}|{term.get('code') or term['name']}"))
            detail = term.get("taxonomy_detail")
            if isinstance(detail, Node):
                detail.setdefault("name", term.get("taxonomy"))
                detail.setdefault("description", detail["name"])
                detail.setdefault("id", str(uuid5(NAMESPACE, f"Taxonomy|{detail['name']}")))
                if detail["name"] is None:
                    del term["taxonomy_detail"]
            if term["name"] is None:
                self._remark(join(at, "taxonomy_term"), "A term without name or code: left out.")
                del node["taxonomy_term"]
        elif isinstance(given, Mapping) and given.get("taxonomy_term_id"):
            self._remark(at, "An attribute whose term is not told.")
        return node if any(name != "id" for name in node) else None

    def _one(self, kind: type[Part], given: Any, at: str, made: str, by_hand: Iterable[str] = ()) -> Any:  # noqa: ANN401 - the part, or what stood there for the judgement to refuse
        """Answer a part of an object."""
        if not isinstance(given, Mapping):
            return given
        node = Node(at, kind)
        self._fill(node, given, made, frozenset(by_hand))
        if kind is LanguageRecord and not self._ours:
            told = str(node.get("code") or node.get("name") or "")
            if code := naming.language(told):
                node["code"] = code
        return node

    def _many(self, kind: type[Part], given: Any, at: str, made: str) -> Any:  # noqa: ANN401 - as `_one`
        if not isinstance(given, list):
            return given
        return [self._one(kind, each, f"{at}.{number}", f"{made}.{number}") for number, each in enumerate(given)]

    def _remark(self, at: str, what: str) -> None:
        self._remarks.append((at, what))
