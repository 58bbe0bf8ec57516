"""One's own account: the password, the second step of signing in, and the browsers that are signed in."""

from io import BytesIO
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from relais_gateway.domain.choosing import SHORTEST, Weakness
from relais_gateway.domain.refusals import Weak, WrongPassword
from relais_gateway.own_account import OwnAccount
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import COOKIE, FRESH, JustIn, Known, OurForm, sessions, text
from relais_gateway.web.site import PageRoute, go, show
from relais_shared.clock import Now
from relais_shared.refusals import NotFound

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HOME: Final = "/compte"
INVALID: Final = 422
CODE_LENGTH: Final = 100
"""Far more than any code has, however it is typed."""

TOLD: Final = {
    "mot_de_passe": later("Votre mot de passe est changé. Les autres appareils sont déconnectés."),
    "fermee": later("Cet appareil est déconnecté."),
    "fermees": later("Les autres appareils sont déconnectés."),
    "cle": later("Votre clé d'accès est prête. Les autres appareils sont déconnectés."),
    "cle_retiree": later("La clé d'accès est retirée ici. Effacez-la aussi sur l'appareil qui la garde."),
    "retiree": later("L'application est retirée."),
}
"""What is said after something was done."""

WEAK: Final = {
    Weakness.SHORT: later(
        "Choisissez au moins %(shortest)s caractères. Une phrase que vous seul·e connaissez va très bien."
    ),
    Weakness.LONG: later("C'est trop long : restez sous 200 caractères."),
    Weakness.PLAIN: later(
        "Ces caractères se suivent ou se répètent : on les devine vite. Prenez plutôt quelques mots."
    ),
    Weakness.KNOWN: later("Votre nom ou votre adresse est ce qu'on essaie d'abord. Prenez d'autres mots."),
}
"""Why a password cannot be taken, and what to do instead."""


def own(request: Request) -> OwnAccount:
    """Answer the verbs of one's own account."""
    found: OwnAccount = request.app.state.own_account
    return found


async def _account(  # noqa: PLR0913 - for whom, and what is said
    request: Request, who: Known, now: Now, *, status: int = 200, faults: dict[str, str] | None = None, told: str = ""
) -> Response:
    return show(
        request,
        "account/account.html",
        status,
        own=await own(request).look(who, now),
        fresh=now - who.since <= FRESH,
        faults=faults or {},
        told=_(TOLD[told]) if told in TOLD else "",
    )


@router.get(HOME)
async def account(request: Request, who: Known, now: Now, fait: Annotated[str, Query(max_length=20)] = "") -> Response:
    """Show one's own account."""
    return await _account(request, who, now, told=fait)


@router.post(f"{HOME}/a-nouveau")
async def again(request: Request, _form: OurForm, now: Now) -> Response:
    """End this session, and begin another one here: only a fresh one changes how one signs in."""
    await sessions(request).sign_out(request.cookies.get(COOKIE, ""), now)
    response = go("/connexion", vers=HOME)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post(f"{HOME}/mot-de-passe")
async def change_password(request: Request, who: JustIn, form: OurForm, now: Now) -> Response:
    """Change the password."""
    # Passwords are taken as typed: blanks may be part of them.
    current, wanted, repeated = (str(form.get(name, "")) for name in ("current", "wanted", "repeated"))
    if wanted != repeated:
        faults = {"repeated": _("Les deux ne sont pas pareils. Écrivez deux fois le même nouveau mot de passe.")}
        return await _account(request, who, now, status=INVALID, faults=faults)
    try:
        await own(request).change_password(who, current, wanted, now)
    except WrongPassword:
        faults = {"current": _("Ce n'est pas votre mot de passe actuel. Après dix essais, attendez un quart d'heure.")}
        return await _account(request, who, now, status=INVALID, faults=faults)
    except Weak as refusal:
        faults = {"wanted": _(WEAK[Weakness(refusal.detail)]) % {"shortest": SHORTEST}}
        return await _account(request, who, now, status=INVALID, faults=faults)
    return go(HOME, fait="mot_de_passe")


@router.post(f"{HOME}/appareils")
async def end_sessions(request: Request, who: Known, form: OurForm, now: Now) -> Response:
    """Sign out one other browser, or all others; whoever is in may do so, however long ago she came in."""
    chosen = text(form, "session")
    if not chosen:
        await own(request).end_other_sessions(who, now)
        return go(HOME, fait="fermees")
    try:
        await own(request).end_session(who, UUID(chosen), now)
    except ValueError:
        raise NotFound("There is no such session.") from None
    return go(HOME, fait="fermee")


@router.post(f"{HOME}/application")
async def begin_app(request: Request, who: JustIn, _form: OurForm, now: Now) -> Response:
    """Begin to set up an app that shows codes."""
    await own(request).begin_app(who, now)
    return go(f"{HOME}/application")


@router.get(f"{HOME}/application")
async def app(request: Request, who: JustIn) -> Response:
    """Show what the app reads, and ask for its first code."""
    return await _app(request, who)


@router.post(f"{HOME}/application/confirmer")
async def confirm_app(request: Request, who: JustIn, form: OurForm, now: Now) -> Response:
    """Put the app to use, and show the recovery codes this once."""
    drawn = await own(request).confirm_app(who, text(form, "code")[:CODE_LENGTH], now)
    if drawn is None:
        return await _app(request, who, INVALID)
    return show(request, "account/codes.html", codes=drawn)


@router.post(f"{HOME}/application/retirer")
async def remove_app(request: Request, who: JustIn, _form: OurForm, now: Now) -> Response:
    """Remove the app."""
    await own(request).remove_app(who, now)
    return go(HOME, fait="retiree")


@router.post(f"{HOME}/codes")
async def renew_codes(request: Request, who: JustIn, _form: OurForm, now: Now) -> Response:
    """Draw new recovery codes, and show them this once."""
    return show(request, "account/codes.html", codes=await own(request).renew_codes(who, now))


async def _app(request: Request, who: JustIn, status: int = 200) -> Response:
    address, written = await own(request).app_to_confirm(who)
    return show(
        request, "account/app.html", status, drawing=_drawing(address), written=written, refused=status == INVALID
    )


def _drawing(address: str) -> str:
    # Few set up an app, and everybody waits for a start: the library takes as long as all of this module.
    import segno  # noqa: PLC0415 - see above

    out = BytesIO()
    # On white in both schemes, and without a class or style: no inline style passes the pages' policy.
    segno.make(address, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=False, border=4, scale=5, light="#fff", svgclass=None, lineclass=None
    )
    return out.getvalue().decode()
