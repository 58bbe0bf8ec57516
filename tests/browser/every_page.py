"""Every page of the gateway: who may see it, on which thing, and who looks at it here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from browser.world import STAFF, VISITORS
from fastapi.routing import iter_route_contexts

from relais_gateway.routes import reference
from relais_gateway.web import pages
from relais_gateway.web.person.deeds import DEEDS
from relais_gateway.web.steps import STEPS

NOBODY: Final = frozenset({"nobody"})
EVERYBODY: Final = STAFF | VISITORS.keys() | NOBODY
COUNSELLING: Final = STAFF - {"operator"}
HOUSE: Final = frozenset({"counsellor", "administrator", "manager"})
SIDES: Final = HOUSE | {"recipient"}
ADMINISTRATORS: Final = frozenset({"administrator", "elsewhere"})
MANAGERS: Final = frozenset({"manager", "manager-elsewhere"})
KEEPERS: Final = frozenset({"manager", "operator"})
OPERATOR: Final = frozenset({"operator"})
HERS: Final = frozenset({"she"})
PERSONS: Final = frozenset({"she", "neighbour"})
GUESTS: Final = frozenset({"guest", "other-guest"})
NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or a file that one of them leads to.

    Attributes:
        template: Its path as its route says it.
        to: Who may see it.
        looks: Who looks at it in a browser here: everybody who sees something else there. Nobody at a file.
        asks: What its address asks besides, one after the other.
        ids: Which thing an id means, where it is not the one of its name.
    """

    template: str
    to: frozenset[str]
    looks: tuple[str, ...] = ()
    asks: tuple[str, ...] = ("",)
    ids: Mapping[str, str] = field(default_factory=lambda: NONE)

    def places(self, ids: Mapping[str, str]) -> list[str]:
        """Answer every address of it, with ids by the names of things."""
        path = re.sub(r"\{(\w+)\}", lambda found: ids[self.ids.get(found[1], found[1])], self.template)
        return [path + asked.format(**ids) for asked in self.asks]


def _on(**ids: str) -> Mapping[str, str]:
    return {f"{name}_id": f"{thing}_id" for name, thing in ids.items()}


PAGES: Final = (
    # Open to everybody. Whoever is signed in does not sign in again.
    Page("/connexion", EVERYBODY - STAFF, ("nobody",)),
    Page("/accessibilite", EVERYBODY, ("nobody", "counsellor")),
    Page("/danger", EVERYBODY, ("nobody", "counsellor")),
    Page("/styleguide", EVERYBODY, ("nobody",)),
    Page("/invitation", EVERYBODY, ("nobody",)),
    Page("/docs", EVERYBODY, ("nobody",)),
    Page("/problems/{slug}", EVERYBODY, ("nobody",)),
    Page("/p", EVERYBODY, ("nobody",)),
    Page("/p/calendrier", EVERYBODY, ("nobody",)),
    Page("/g", EVERYBODY, ("nobody",)),
    # One's own account.
    Page("/compte", STAFF, ("counsellor", "operator")),
    Page("/compte/cle", STAFF, ("counsellor",)),
    Page("/compte/application", frozenset({"counsellor"}), ("counsellor",)),
    Page("/guichet", COUNSELLING, ("counsellor",)),
    # Looking for help.
    Page("/lieux", COUNSELLING, asks=("?q=charl",)),
    Page(
        "/recherche",
        COUNSELLING,
        ("counsellor",),
        (
            "",
            "?place=6000+Charleroi&theme=mobility",
            "?place=6000+Charleroi&theme=childcare&q=trottinette+volante&radius_km=2",
        ),
    ),
    Page("/services/{service_id}", COUNSELLING, ("recipient", "manager", "sanctioning")),
    # Passing the relay.
    Page("/relais/nouveau", COUNSELLING, ("recipient",), ("?service={service_id}",)),
    Page("/relais/{referral_id}/brouillon", HOUSE, ("counsellor",), ids=_on(referral="draft")),
    Page("/relais/{referral_id}/papier", HOUSE, ("counsellor",), ids=_on(referral="draft")),
    Page("/relais/{referral_id}/inviter", HOUSE, ("counsellor",), ids=_on(referral="waiting")),
    Page("/relais/{referral_id}/telephone", HOUSE, ("counsellor",), ids=_on(referral="called")),
    Page("/relais/{referral_id}/fiche", HOUSE, ids=_on(referral="called")),
    Page("/cartes/{referral_id}", SIDES, ("counsellor",)),
    # Between two structures.
    Page("/relais", COUNSELLING, ("counsellor", "recipient", "sanctioning"), ("", "?pour=me")),
    Page("/relais/liste", COUNSELLING),
    Page("/relais/nouvelles", COUNSELLING),
    Page("/relais/{referral_id}", SIDES, ("counsellor", "administrator", "recipient")),
    *(
        Page("/relais/{referral_id}", SIDES, ("counsellor", "recipient"), ids=_on(referral=state))
        for state in ("proposed", "neighbour", "declined", "handed_over", "closed", "withdrawn")
    ),
    *(Page("/relais/{referral_id}", HOUSE, ("counsellor",), ids=_on(referral=via)) for via in ("waiting", "called")),
    Page("/relais/{referral_id}/pas", SIDES),
    Page("/relais/{referral_id}/documents/{document_id}", SIDES),
    Page("/relais/{referral_id}/rendez-vous.ics", SIDES),
    Page("/qualite/{referral_id}", SIDES, ("counsellor", "recipient"), ids=_on(referral="closed")),
    # The console.
    Page("/gestion", MANAGERS | ADMINISTRATORS | OPERATOR, ("manager", "administrator", "operator")),
    Page("/gestion/services", MANAGERS, ("manager",)),
    Page("/gestion/services/nouveau", MANAGERS, ("manager",)),
    Page("/gestion/services/{service_id}", frozenset({"manager"}), ("manager",)),
    Page("/gestion/signalements", STAFF, ("manager", "operator")),
    Page("/gestion/verifications", MANAGERS, ("manager",)),
    Page("/gestion/doublons", MANAGERS | OPERATOR, ("manager", "operator")),
    Page("/gestion/imports", MANAGERS | OPERATOR, ("manager", "operator")),
    Page("/gestion/imports/{import_id}", KEEPERS, ("manager",)),
    Page("/gestion/comptes", ADMINISTRATORS, ("administrator",)),
    Page("/gestion/livraisons", ADMINISTRATORS, ("administrator",)),
    Page("/gestion/livraisons/{webhook_id}", frozenset({"administrator"}), ("administrator",)),
    Page("/gestion/qualite", OPERATOR, ("operator",)),
    Page("/gestion/structures", OPERATOR, ("operator",)),
    Page("/gestion/structures/nouvelle", OPERATOR, ("operator",)),
    Page("/gestion/structures/{organisation_id}", OPERATOR, ("operator",)),
    Page(
        "/gestion/peut-il",
        OPERATOR,
        ("operator",),
        ("", "?structure={organisation_id}&logiciel={client_id}&appel=GET%20/v1/directory/own/services"),
    ),
    Page("/gestion/journal", OPERATOR, ("operator",)),
    Page("/gestion/traces", OPERATOR, ("operator",)),
    Page("/gestion/traces/carte", OPERATOR, ("operator",)),
    Page("/gestion/traces/{trace_id}", OPERATOR, ("operator",)),
    Page("/gestion/sante", OPERATOR, ("operator",)),
    # Hers, and a guest's.
    Page("/p/ici", PERSONS, ("she",)),
    Page("/p/ici/copie.json", PERSONS),
    Page("/p/ici/copie.pdf", PERSONS),
    Page("/p/ici/recus/{consent_id}.pdf", HERS),
    Page("/p/ici/{referral_id}", HERS, ("she",)),
    Page("/p/ici/{referral_id}/rendez-vous.ics", HERS),
    Page("/p/ici/{referral_id}/documents/{document_id}", HERS),
    Page("/g/ici", GUESTS, ("guest", "other-guest")),
    Page("/g/ici/documents/{document_id}", frozenset({"guest"}), ids=_on(document="guests_document")),
)

NOES: Final = (
    ("nobody", "/cette-page-n-est-pas-la", 404),
    ("counsellor", "/recherche?place=nulle-part-du-tout", 422),
    ("counsellor", "/relais/00000000-0000-4000-8000-000000000000", 404),
    ("counsellor", "/gestion", 403),
    ("she", "/p/ici/00000000-0000-4000-8000-000000000000", 404),
)
"""Pages that say no: who is told, where, with which status."""

ELSEWHERE: Final = {
    "/": "leads on: test_handover.py, test_console.py",
    "/favicon.ico": "leads on",
    "/static/{name:path}": "files: test_handover.py",
    "/connexion/code": "for whoever is halfway: test_account.py",
    "/connexion/fournisseur": "leads to a provider of identities: tests/api/gateway/test_provider.py",
    "/connexion/retour": "comes back from it",
    "/gestion/traces/chercher": "leads on: test_console.py",
}
"""What is no page of its own, and where it is tried."""


POSTS: Final[Mapping[str, frozenset[str]]] = {
    "/services/{service_id}/confirmer": COUNSELLING,
    "/services/{service_id}/signaler": COUNSELLING,
    "/services/{service_id}/conseils": COUNSELLING,
    "/services/{service_id}/conseils/{tip_id}/retirer": HOUSE,
    "/services/{service_id}/conditions": COUNSELLING,
    "/relais/taches/{task_id}": HOUSE,
    "/relais/{referral_id}/inviter": SIDES,
    "/relais/{referral_id}/message": SIDES,
    "/relais/{referral_id}/document": SIDES,
    "/relais/{referral_id}/documents/{document_id}/retirer": SIDES,
    "/relais/{referral_id}/assign": SIDES,
    "/relais/{referral_id}/part": SIDES,
    "/relais/{referral_id}/redirect": SIDES,
    "/relais/{referral_id}/{action}": SIDES,
    "/cartes/{referral_id}": SIDES,
    "/qualite/{referral_id}": SIDES,
    "/gestion/services/{service_id}": frozenset({"manager"}),
    "/gestion/services/{service_id}/places": frozenset({"manager"}),
    "/gestion/services/{service_id}/confirmer": COUNSELLING,
    "/gestion/services/{service_id}/etat": frozenset({"manager"}),
    "/gestion/signalements/{report_id}": KEEPERS,
    "/gestion/doublons/{duplicate_id}/{verb}": KEEPERS,
    "/gestion/qualite/campagnes/{campaign_id}/fin": OPERATOR,
    "/gestion/imports/{import_id}/bloc": KEEPERS,
    "/gestion/imports/{import_id}/oublier": KEEPERS,
    "/gestion/comptes/{account_id}": OPERATOR | {"administrator"},
    "/gestion/comptes/invitations/{invitation_id}": OPERATOR | {"administrator"},
    "/gestion/livraisons/{webhook_id}/essai": frozenset({"administrator"}),
    "/gestion/livraisons/{webhook_id}/renvoyer": frozenset({"administrator"}),
    "/gestion/structures/{organisation_id}/etat": OPERATOR,
    "/gestion/structures/{organisation_id}/convention": OPERATOR,
    "/gestion/structures/{organisation_id}/convention/{agreement_id}/finir": OPERATOR,
    "/gestion/structures/{organisation_id}/inviter": OPERATOR,
    "/gestion/structures/{organisation_id}/droits": OPERATOR,
    "/p/ici/{referral_id}/essai": HERS,
    "/p/ici/{referral_id}/{deed}": HERS,
    "/g/ici/taches/{task_id}": frozenset(),
    "/g/ici/{action}": GUESTS,
}
"""Every form about one thing, and who may send it."""

VERBS: Final = {"action": tuple(STEPS), "deed": tuple(DEEDS), "verb": ("merge", "apart", "undo")}
"""What an address says to do."""


def routes() -> Iterator[tuple[str, str]]:
    """Answer the method and the path of everything that the gateway answers with pages."""
    for router in (pages.router, reference.pages):
        for each in iter_route_contexts(router.routes):
            for method in each.methods or ():
                yield method, str(each.path)


def forms() -> Iterator[tuple[str, frozenset[str]]]:
    """Answer every form about one thing, one for each thing that it can do."""
    for template, to in POSTS.items():
        named = next((name for name in VERBS if f"{{{name}}}" in template), "")
        for verb in VERBS.get(named, ("",)):
            yield template.replace(f"{{{named}}}", verb) if named else template, to
