"""The sheet by which an owner edits a service: the common fields of its record, and what they become for the API.

What the sheet does not show (more places, conditions, prices by HSDS, …) stays as it is: a change is a merge patch
(RFC 7396) of what differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from starlette.datastructures import FormData

from relais_gateway.web import vocabulary
from relais_gateway.web.api import Json
from relais_gateway.web.console import week
from relais_gateway.web.languages import _, language, later
from relais_gateway.web.session import text, texts

TEXTS: Final = ("name", "description", "fees", "email", "website", "application_process", "alert")
"""Members of the record that are one text."""
LISTS: Final = ("themes", "modes")
TICKED: Final = (*LISTS, "languages")
"""Fields of which several values are chosen."""
HOURS: Final = ("opening_hours", "relay_hours")
"""Hours: a week of fields, and the line that stands for it and may say more."""
ADDRESS: Final = ("street", "postcode", "municipality")
POINT: Final = ("latitude", "longitude")
RELAY: Final = ("name", "function", "phone", "email", "hours")
FREE: Final = {"yes": True, "no": False, "": None}

POINTERS: Final[Mapping[str, str]] = {
    **{f"/{name}": name for name in (*TEXTS, *LISTS, "free", "can_receive", "status", "closed_from")},
    "/languages": "other_languages",
    "/closed_until": "closed_until",
    "/phones": "phone",
    "/locations": "municipality",
    "/locations/0/opening_hours": "opening_hours",
    **{f"/locations/0/address/{name}": name for name in ADDRESS},
    **{f"/locations/0/{name}": name for name in POINT},
    **{f"/relay_contact/{name}": f"relay_{name}" for name in RELAY},
    "/relay_contact": "relay_name",
}
"""Which field of the sheet a pointer of the API is about; the longest beginning counts."""

FAULTS: Final = {
    "name": later("Donnez un nom, sur une ligne, de 500 caractères au plus."),
    "description": later("Écrivez un texte de 20 000 caractères au plus."),
    "themes": later("Un de ces thèmes n'existe plus. Choisissez à nouveau."),
    "modes": later("Dites comment la personne est reçue : sur place, à distance ou chez elle."),
    "fees": later("Écrivez le prix en quelques mots."),
    "phone": later("Écrivez un numéro de téléphone sur une ligne."),
    "email": later("Écrivez une adresse e-mail sur une ligne."),
    "website": later("Écrivez une adresse de site sur une ligne."),
    "other_languages": later("Écrivez des codes de langue, séparés par des virgules : bg, ku, ta."),
    "street": later("Écrivez la rue et le numéro sur une ligne."),
    "postcode": later("Ce code postal ne peut pas être pris : de 3 à 10 chiffres ou lettres."),
    "municipality": later("Nous ne trouvons pas ce lieu. Donnez une commune et un code postal, ou un point."),
    "latitude": later("La latitude va de -90 à 90, par exemple 50,4113. Elle doit être près de la commune."),
    "longitude": later("La longitude va de -180 à 180, par exemple 4,4445."),
    "opening_hours": later("Ces heures ne se lisent pas. Écrivez-les ainsi : Mo-Fr 09:00-17:00; PH off."),
    "application_process": later("Écrivez un texte de 20 000 caractères au plus."),
    "alert": later("Écrivez un texte de 20 000 caractères au plus."),
    "can_receive": later("Choisissez comment vous prenez un relais."),
    "closed_from": later("Ce jour ne peut pas être pris."),
    "closed_until": later("La fermeture finit après son début."),
    "relay_name": later("Donnez le nom de la personne ou du guichet, sur une ligne."),
    "relay_function": later("Écrivez la fonction sur une ligne."),
    "relay_phone": later("Écrivez un numéro de téléphone sur une ligne."),
    "relay_email": later("Écrivez une adresse e-mail sur une ligne."),
    "relay_hours": later("Ces heures ne se lisent pas. Écrivez-les ainsi : Mo-Fr 09:00-12:00."),
}
"""What is said beside a field that the API could not take."""
UNCLEAR: Final = later(
    "Chaque ouverture a un début et une fin, l'un après l'autre : 09:00, 12:00. Sinon, laissez vide."
)
TWICE: Final = later("Ces heures sont écrites deux fois, et autrement. Changez la semaine, ou la ligne.")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A service's common fields as texts, with what is wrong by field.

    Attributes:
        values: By name of the field; of a list its values.
        was: The record as it stands, empty for a new service.
        faults: A sentence by field; under the empty name what no field is for.
    """

    values: Mapping[str, Any]
    was: Json = field(repr=False)
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Json) -> Self:
        """Answer the sheet of a record."""
        place = (record.get("locations") or [{}])[0]
        relay = record.get("relay_contact") or {}
        free = record.get("free")
        values: dict[str, Any] = {name: record.get(name) or "" for name in TEXTS}
        values |= {name: list(record.get(name) or ()) for name in LISTS}
        values |= {name: (place.get("address") or {}).get(name) or "" for name in ADDRESS}
        values |= {name: _decimal(place.get(name)) for name in POINT}
        values |= {f"relay_{name}": relay.get(name) or "" for name in RELAY}
        values |= {
            "free": "" if free is None else "yes" if free else "no",
            "phone": (record.get("phones") or [{}])[0].get("number") or "",
            "languages": [one["code"] for one in record.get("languages") or () if one.get("code") in SPOKEN],
            "other_languages": ", ".join(
                one["code"] for one in record.get("languages") or () if one.get("code") and one["code"] not in SPOKEN
            ),
            "opening_hours": place.get("opening_hours") or "",
            "can_receive": record.get("can_receive") or "phone_only",
            "status": record.get("status") or "active",
            "closed_from": record.get("closed_from") or "",
            "closed_until": record.get("closed_until") or "",
            "places": len(record.get("locations") or ()),
        }
        for name in HOURS:
            values |= {f"{name}_{each}": told for each, told in week.week_of(values[name]).items()}
        return cls(values, record)

    @classmethod
    def typed(cls, form: FormData, record: Json) -> Self:
        """Answer the sheet as somebody filled it in, over the record as it stands."""
        before = cls.of(record)
        values = {
            name: texts(form, name) if name in TICKED else value if name in _KEPT else text(form, name)
            for name, value in before.values.items()
        }
        faults = {}
        if not values["name"]:
            faults["name"] = _said("name")
        if not values["modes"]:
            faults["modes"] = _said("modes")
        for name in POINT:
            if values[name] and _number(str(values[name])) is None:
                faults[name] = _said(name)
        for name in HOURS:
            faults |= _unclear(name, values, before.values)
        return cls(values, record, faults)

    def refused(self, pointed: Mapping[str, str]) -> Self:
        """Answer the sheet with what the API could not take, said in words beside each field."""
        said = {name: _said(name) if name in FAULTS else detail for name, detail in pointed.items()}
        return replace(self, faults=said)

    def has_week(self, name: str) -> bool:
        """Say whether the week says what the line of these hours says."""
        return any(_week(name, self.values).values())

    def record(self) -> Json:
        """Answer a whole new record."""
        return {name: value for name, value in self.changes().items() if value is not None}

    def changes(self) -> Json:
        """Answer what differs from the record as it stands, as a merge patch."""
        before, now = Sheet.of(self.was).values, self.values
        found: Json = {name: now[name] or None for name in TEXTS if name != "name" and now[name] != before[name]}
        if now["name"] != before["name"]:
            found["name"] = now["name"]
        found |= {name: now[name] for name in LISTS if sorted(now[name]) != sorted(before[name])}
        if now["free"] != before["free"]:
            found["free"] = FREE.get(now["free"])
        if now["can_receive"] != before["can_receive"]:
            found["can_receive"] = now["can_receive"]
        if now["phone"] != before["phone"]:
            others = list(self.was.get("phones") or ())[1:]
            first = {**(self.was.get("phones") or [{}])[0], "number": now["phone"]}
            found["phones"] = [first, *others] if now["phone"] else others
        now = {**now, **{name: _hours(name, now, before) for name in HOURS}}
        if set(now["languages"]) != set(before["languages"]) or now["other_languages"] != before["other_languages"]:
            found["languages"] = self._languages()
        if any(now[f"relay_{name}"] != before[f"relay_{name}"] for name in RELAY):
            relay = {name: now[f"relay_{name}"] or None for name in RELAY}
            found["relay_contact"] = relay if any(relay.values()) else None
        if (places := self._places(before, now)) is not None:
            found["locations"] = places
        return found

    def _languages(self) -> list[Json]:
        """Answer the languages as chosen: what was known of one stays, and so does one that has a name alone."""
        others = [code for one in self.values["other_languages"].split(",") if (code := one.strip())]
        wanted = dict.fromkeys([*self.values["languages"], *others])
        kept = [one for one in self.was.get("languages") or () if not one.get("code") or one["code"] in wanted]
        there = {one.get("code") for one in kept}
        return [*kept, *({"code": code} for code in wanted if code not in there)]

    def _places(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Json] | None:
        """Answer the places with the first one as typed; nothing where it is as it was."""
        moved = any(now[name] != before[name] for name in ADDRESS)
        pointed = any(now[name] != before[name] for name in POINT)
        if not moved and not pointed and now["opening_hours"] == before["opening_hours"]:
            return None
        places = [dict(one) for one in self.was.get("locations") or ()]
        if not places:
            places = [{"address": {"country": "BE"}}]
        first = places[0]
        if moved:
            address = {**first["address"], **{name: now[name] or None for name in ADDRESS}}
            # The code was that of the former municipality; the directory finds the new one by name and postcode.
            address.pop("municipality_code", None)
            first["address"] = {name: value for name, value in address.items() if value is not None}
        if pointed:
            first |= {name: _number(now[name]) for name in POINT}
        elif moved:
            # The point was that of the former address.
            first |= dict.fromkeys(POINT)
        first["opening_hours"] = now["opening_hours"] or None
        places[0] = {name: value for name, value in first.items() if value is not None}
        return places


_KEPT: Final = frozenset({"status", "closed_from", "closed_until", "places"})
"""Fields that have a form of their own, or none."""


SPOKEN: Final = vocabulary.LANGUAGES
"""Languages that are chosen by name; any other by its code."""


def _week(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {each: values[f"{name}_{each}"] for each in week.FIELDS}


def _hours(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """Answer hours as the directory keeps them: of the week where it was changed, else as the line says."""
    changed = _week(name, now)
    return week.text_of(changed) if changed != _week(name, before) else str(now[name])


def _unclear(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, str]:
    """Answer what is wrong with a week, by field: times that make no opening, or a line that says something else."""
    try:
        said = _hours(name, now, before)
    except week.Unclear as fault:
        return {f"{name}_{fault.day}": _(UNCLEAR)}
    return {name: _(TWICE)} if now[name] not in {before[name], said} else {}


def _said(name: str) -> str:
    return _(FAULTS[name])


def _decimal(value: float | None) -> str:
    return "" if value is None else str(value).replace(".", ",")


def _number(written: str) -> float | None:
    try:
        return float(written.replace(",", "."))
    except ValueError:
        return None


def families(themes: Mapping[str, Json]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Answer the themes by family: its slug, its name in the language of the page, its own themes with theirs."""
    spoken = language()

    def named(one: Json) -> str:
        return str(one["labels"].get(spoken) or one["labels"].get("fr") or one["slug"])

    return [
        (slug, named(one), [(own, named(each)) for own, each in themes.items() if each["parent"] == slug])
        for slug, one in themes.items()
        if one["parent"] is None
    ]
