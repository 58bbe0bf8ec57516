"""What the console's pages share: which of them a visitor's scopes open, their messages, lists as files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json, Params
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import Visitor, text
from relais_gateway.web.site import go, show

HOME: Final = "/gestion"
PAGE: Final = 50
"""Lines of a list; more behind a link."""
MOST: Final = 5_000
"""Lines of an exported file: it is made while somebody waits."""
INVALID, CONFLICT, STALE, GONE = 422, 409, 412, 404

OURS: Final = later("Nos services")
STRUCTURE: Final = later("Notre structure")
PLATFORM: Final = later("La plateforme")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the console.

    Attributes:
        path: Below `/gestion/`.
        name: In French, as `about`; said in the language of the page.
        icon: Of the one set.
        scopes: Any of them opens it; they are those of the operations that its page calls.
        group: Under which heading it stands.
    """

    path: str
    name: str
    icon: str
    scopes: frozenset[str]
    group: str
    about: str


def _section(path: str, name: str, about: str, icon: str, group: str, *scopes: str) -> Section:
    return Section(path, name, icon, frozenset(scopes), group, about)


SECTIONS: Final = (
    _section(
        "services",
        later("Services et places"),
        later("Dire les places, confirmer, corriger, fermer."),
        "house",
        OURS,
        "directory:write",
        "directory:capacity",
    ),
    _section(
        "signalements",
        later("Signalements"),
        later("Ce que des collègues trouvent inexact."),
        "flag",
        OURS,
        "directory:write",
        "platform:admin",
    ),
    _section(
        "verifications",
        later("À vérifier"),
        later("Les fiches que la plateforme vous demande de relire."),
        "hourglass",
        OURS,
        "directory:write",
    ),
    _section(
        "doublons",
        later("Doublons"),
        later("Deux fiches pour un seul service ?"),
        "merge",
        OURS,
        "directory:write",
        "platform:admin",
    ),
    _section(
        "imports",
        later("Imports"),
        later("Envoyer une liste, suivre ce qu'elle devient."),
        "upload",
        OURS,
        "directory:write",
        "platform:admin",
    ),
    _section(
        "comptes",
        later("Comptes"),
        later("Inviter, changer un rôle, fermer."),
        "user",
        STRUCTURE,
        "org:admin",
    ),
    _section(
        "livraisons",
        later("Livraisons"),
        later("Vos logiciels sont-ils prévenus ?"),
        "webhook",
        STRUCTURE,
        "webhook:manage",
    ),
    _section(
        "qualite",
        later("Qualité de l'annuaire"),
        later("Les fiches anciennes, et qui les tient."),
        "chart-column",
        PLATFORM,
        "platform:admin",
    ),
    _section(
        "structures",
        later("Structures et droits"),
        later("Qui peut quoi, et le changer."),
        "table-2",
        PLATFORM,
        "platform:admin",
    ),
    _section(
        "peut-il",
        later("Peut-il ?"),
        later("Pourquoi l'appel d'un logiciel ne passe pas."),
        "circle-question-mark",
        PLATFORM,
        "platform:admin",
    ),
    _section(
        "traces",
        later("Traces"),
        later("Une demande suivie d'un service à l'autre."),
        "activity",
        PLATFORM,
        "trace:read",
    ),
    _section("sante", later("Santé"), later("Qui répond, et les dernières erreurs."), "server", PLATFORM, "trace:read"),
    _section("journal", later("Journal"), later("Qui a changé quoi."), "history", PLATFORM, "platform:admin"),
)
"""Every part, in the order in which it is shown."""


def sections(visitor: Visitor | None) -> list[tuple[str, list[Section]]]:
    """Answer what a visitor's scopes open, by heading; nothing for whoever is not signed in."""
    held = visitor.scopes if visitor else frozenset[str]()
    found: dict[str, list[Section]] = {}
    for each in SECTIONS:
        if each.scopes & held:
            # What the operator looks after for everybody stands with the platform's.
            group = PLATFORM if "platform:admin" in each.scopes & held else each.group
            found.setdefault(group, []).append(each)
    return list(found.items())


DONE: Final = {
    "places": later("Les places sont dites. La recherche les montre déjà."),
    "confirme": later("Merci. La fiche est confirmée aujourd'hui."),
    "enregistre": later("C'est enregistré."),
    "cree": later("Le service est créé."),
    "retire": later("Le service est retiré de la recherche."),
    "repondu": later("Votre réponse est partie."),
    "fusionne": later("Une seule fiche reste. L'autre renvoie vers elle."),
    "separe": later("Ce sont deux services. Nous ne les proposerons plus."),
    "defait": later("C'est défait : les deux fiches sont comme avant."),
    "cherche": later("La recherche de doublons est finie."),
    "demande": later("La demande est partie. Les structures la trouvent sous « À vérifier »."),
    "termine": later("La campagne est finie."),
    "renvoye": later("L'envoi repart. Rechargez la page dans un instant pour voir ce qu'il devient."),
    "importe": later("Le fichier est reçu. L'import commence."),
    "oublie": later("L'import est oublié. Ce qu'il a écrit reste."),
    "droit_donne": later("Le droit est donné. Il compte dès maintenant."),
    "droit_retire": later("Le droit est retiré. Il ne compte plus."),
    "structure_inscrite": later("La structure est inscrite. Enregistrez sa convention, puis donnez-lui ses droits."),
    "structure_fermee": later("La structure est fermée. Plus personne n'y travaille."),
    "structure_rouverte": later("La structure est rouverte."),
    "convention_notee": later("La convention est enregistrée. Elle compte dès maintenant."),
    "convention_finie": later("La fin de la convention est notée. Les relais finissent avec elle."),
    "compte_ferme": later("Le compte est fermé. Ses sessions sont finies."),
    "compte_rouvert": later("Le compte est rouvert."),
    "invitation_retiree": later("L'invitation est retirée. Son lien n'ouvre plus rien."),
    "dernier_admin": later("Ce n'est pas fait : plus personne n'administrerait. Nommez d'abord quelqu'un d'autre."),
    "sans_role": later("Ce n'est pas fait : gardez au moins un rôle, ou fermez le compte."),
    "nom_pris": later("Ce n'est pas fait : une autre structure ouverte porte ce nom."),
    "jour_passe": later("Ce n'est pas fait : ce jour est passé, ou la convention est déjà finie."),
    "essai": later("Un message d'essai est parti."),
    "change": later("La fiche a changé entre-temps. Voici ce qu'elle dit maintenant : relisez, puis recommencez."),
    "plus_tard": later("Ce n'est plus possible : quelqu'un a décidé entre-temps."),
}
"""What is said once something is done, by the mark that the address carries."""


def page(request: Request, template: str, status: int = 200, **facts: object) -> Response:
    """Answer a page of the console, with the parts that the visitor may open."""
    visitor = getattr(request.state, "visitor", None)
    told = DONE.get(request.query_params.get("ok", ""), "")
    return show(
        request, f"console/{template}", status, sections=sections(visitor), told=_(told) if told else "", **facts
    )


def back(path: str, mark: str = "", **query: str) -> Response:
    """Answer that what was sent is done, and where to look next."""
    path, _mark, asked = path.partition("?")
    before = {name: value for name, value in parse_qsl(asked) if name != "ok"}
    return go(path, **before, **query, **({"ok": mark} if mark else {}))


async def rows(api: Api, path: str, params: Params | None = None, most: int = MOST) -> list[Json]:
    """Answer the items of all pages of a list, up to so many.

    Raises:
        ApiProblem: The API said no, or did not answer.
    """
    found: list[Json] = []
    more: dict[str, str | int] = {"limit": 100}
    while True:
        body = (await api.get(path, {**(params or {}), **more})).body
        found += body["items"]
        if len(found) >= most or not body.get("next_cursor"):
            return found[:most]
        more["cursor"] = body["next_cursor"]


Cell = str | int | float | None

RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With these a spreadsheet begins a formula (OWASP, CSV injection)."""


def cell(value: Cell) -> Cell:
    """Answer a value that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" ").startswith(RISKY):
        return f"'{value}"
    return value


def table(lines: Iterable[Sequence[Cell]]) -> str:
    """Answer lines as CSV (RFC 4180), the first one the header."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(value) for value in line] for line in lines)
    return written.getvalue()


def exported(name: str, header: Sequence[str], lines: Iterable[Sequence[Cell]]) -> Response:
    """Answer a list as a file that spreadsheets open; its byte order mark says that it is UTF-8."""
    return Response(
        "\N{ZERO WIDTH NO-BREAK SPACE}" + table([header, *lines]),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def wants_file(request: Request) -> bool:
    """Answer whether the list is asked for as a file."""
    return request.query_params.get("format") == "csv"


def faults_by_field(problem: ApiProblem, fields: Mapping[str, str]) -> dict[str, str]:
    """Answer what to say beside which field.

    Args:
        problem: What the API said.
        fields: Name of a field by the beginning of the pointer that it is written to; the longest beginning counts.

    Returns:
        A sentence by the field's name; what no field stands for is under the empty name, with its pointer.
    """
    found: dict[str, str] = {}
    for pointer, detail in problem.faults:
        start = max((one for one in fields if pointer.startswith(one)), key=len, default=None)
        if start is None:
            found[""] = f"{found.get('', '')} {pointer.lstrip('/')} : {detail}".strip()
        else:
            found.setdefault(fields[start], detail)
    return found


def number(form: FormData, name: str) -> int | None:
    """Answer the whole number of a field; nothing where it is empty.

    Raises:
        ValueError: It is none.
    """
    written = text(form, name)
    return int(written) if written else None
