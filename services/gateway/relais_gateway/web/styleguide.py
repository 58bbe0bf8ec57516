"""The living page of the style: every part that pages are made of, as they use it."""

import re
from functools import cache
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.assets import assets
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import MaybeVisitor
from relais_gateway.web.site import PageRoute, show
from relais_gateway.web.vocabulary import THEMES, Words

router = APIRouter(route_class=PageRoute, include_in_schema=False)

COLOURS: Final = Words(
    {
        "paper": later("Le fond"),
        "sheet": later("Ce qui se pose dessus"),
        "ink": later("Le texte"),
        "soft": later("Le texte qui accompagne"),
        "line": later("Les filets"),
        "edge": later("Le bord de ce qui se remplit"),
        "relay": later("Le relais, et lui seul"),
        "teal": later("Ce qui se presse"),
        "good": later("Un fait qui va"),
        "warn": later("Un fait à regarder"),
        "bad": later("Un fait qui empêche"),
        "focus": later("Où vous êtes, au clavier"),
    }
)

VOICE: Final = (
    (later("Passer le relais"), later("Créer une orientation")),
    (later("Ce n'est pas pour nous"), later("Refuser")),
    (later("En attente de réponse depuis mardi."), later("Statut : en attente")),
    (later("Le partage est arrêté. Ils ne peuvent plus lire ses informations ici."), later("Consentement révoqué")),
    (later("Rien à moins de 10 km. À 25 km, il y a 3 places."), later("Aucun résultat")),
    (later("Nous n'avons pas pu enregistrer. Rien n'est perdu : réessayez."), later("Une erreur est survenue")),
)
"""What we say, and what we never say."""


@cache
def symbols() -> list[str]:
    """Answer the names of the drawings in the one set."""
    return re.findall(r'<symbol id="([^"]+)"', assets()["icons.svg"].body.decode())


@router.get("/styleguide")
async def styleguide(request: Request, _visitor: MaybeVisitor) -> Response:
    """Show every part that pages are made of."""
    colours = dict(COLOURS) | dict(THEMES)
    voice = [(_(said), _(never)) for said, never in VOICE]
    return show(request, "styleguide.html", colours=colours, symbols=symbols(), voice=voice)
