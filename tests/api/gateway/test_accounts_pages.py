"""What administrators do in the console, and who is invited on her page; without a script, as forms are."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from api.gateway.house import ADMIN, BEA, HOUSE, House, housed
from api.gateway.world import PLATFORM, Door
from opentelemetry.instrumentation.utils import suppress_instrumentation
from support.days import today

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

PASSWORD = "trois tasses de thé vert"
ADA = "ada@plateforme.example"


class Browser:
    """Somebody's browser, which sends back the proof that each page carries."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.page = ""

    async def see(self, path: str, status: int = 200) -> str:
        """Answer a page."""
        with suppress_instrumentation():
            answer = await self.client.get(path, follow_redirects=True)
        assert answer.status_code == status, answer.text
        self.page = answer.text
        return self.page

    async def send(self, path: str, status: int = 200, **fields: Any) -> str:
        """Send a form of the page seen last, and answer where it leads."""
        proof = re.search(r'name="proof" value="([^"]+)"', self.page)
        assert proof is not None, self.page
        with suppress_instrumentation():
            answer = await self.client.post(path, data={"proof": proof[1], **fields}, follow_redirects=True)
        assert answer.status_code == status, answer.text
        self.page = answer.text
        return self.page

    async def sign_in(self, email: str, password: str) -> "Browser":
        """Sign in."""
        await self.see("/connexion")
        await self.send("/connexion", email=email, password=password, vers="/gestion")
        assert "Gestion" in self.page
        return self


@pytest.fixture(name="house")
async def _house(door: Door) -> House:
    return await housed(door)


@pytest.fixture(name="browsers")
async def _browsers(house: House) -> AsyncIterator[list[Browser]]:
    made = [httpx.AsyncClient(base_url=house.door.base_url, timeout=30) for _ in range(3)]
    yield [Browser(client) for client in made]
    for client in made:
        await client.aclose()


def link_in(page: str) -> str:
    """Answer the link of an invitation, which a page shows once."""
    found = re.search(r'id="lien-invitation">([^<]+)<', page)
    assert found is not None, page
    return found[1]


async def test_an_administrator_sees_to_her_people(house: House, browsers: list[Browser]) -> None:
    zoe, lea, bea = browsers
    await zoe.sign_in(ADMIN, house.passwords[ADMIN])
    assert "Bea Marin" in await zoe.see("/gestion/comptes")
    wrong = await zoe.send("/gestion/comptes/inviter", 422, name="Bea", email=BEA, roles="counsellor")
    assert 'id="email-fault"' in wrong
    assert f'value="{BEA}"' in wrong
    shown = await zoe.send("/gestion/comptes/inviter", name="Léa", email="lea@maison.example", roles="counsellor")
    link = link_in(shown)
    assert "Invitations en cours" in shown
    assert link not in await zoe.see("/gestion/comptes")

    # Without a script she pastes the link.
    await lea.see("/invitation")
    assert "Maison vous invite" in await lea.send("/invitation", secret=link)
    secret = link.partition("#")[2]
    given = {"secret": secret, "name": "Léa Dupont", "password": PASSWORD, "again": "autre chose"}
    assert 'id="again-fault"' in await lea.send("/invitation/accepter", 422, **given)
    short = {**given, "password": "court", "again": "court"}
    refused = await lea.send("/invitation/accepter", 422, **short)
    assert 'id="password-fault"' in refused
    assert 'value="court"' not in refused
    done = await lea.send("/invitation/accepter", **(given | {"again": PASSWORD}))
    assert "Votre compte est prêt" in done
    await lea.see("/invitation")
    assert "ouvre plus rien" in await lea.send("/invitation", 404, secret=link)

    ids = {row["name"]: row["id"] for row in (await house.ask(ADMIN, "GET", "/v1/organisation/users")).json()["items"]}
    await zoe.see("/gestion/comptes")
    place = f"/gestion/comptes/{ids['Bea Marin']}"
    assert "enregistré" in await zoe.send(place, verb="roles", roles=["counsellor", "data_manager"])
    assert "gardez au moins un rôle" in await zoe.send(place, verb="roles")
    await bea.see("/connexion")
    await bea.send("/connexion", email=BEA, password=house.passwords[BEA], vers="/accessibilite")
    assert "compte est fermé" in await zoe.send(place, verb="fermer")
    assert "Se connecter" in await bea.see("/recherche")
    assert "compte est rouvert" in await zoe.send(place, verb="rouvrir")
    herself = f"/gestion/comptes/{ids['Zoé Admin']}"
    assert "Nommez d&#39;abord quelqu&#39;un" in await zoe.send(herself, verb="fermer")
    csv = await zoe.see("/gestion/comptes?format=csv")
    assert "lea@maison.example" in csv
    # What is not hers is not shown: she may not enrol.
    await zoe.see("/gestion/structures", 403)


async def test_the_platform_enrols_in_the_console(house: House, browsers: list[Browser]) -> None:
    ada, guest, _other = browsers
    operator = await house.door.bearer(1)
    who = {"email": ADA, "name": "Ada", "roles": ["administrator"]}
    made = await house.door.ask("POST", f"/v1/organisations/{PLATFORM['id']}/invitations", json=who, headers=operator)
    secret = made.json()["link"].partition("#")[2]
    body = {"secret": secret, "password": PASSWORD}
    assert (await house.door.ask("POST", "/v1/invitations/accept", json=body)).status_code == 201
    await house.door.known(lambda state: len(state.accounts) == 5)
    await ada.sign_in(ADA, PASSWORD)
    await ada.see("/gestion/structures/nouvelle")
    assert 'id="name-fault"' in await ada.send("/gestion/structures/nouvelle", 422, name="maison", kind="association")
    page = await ada.send("/gestion/structures/nouvelle", name="Foyer", kind="association", municipality="be:52011")
    assert "La structure est inscrite" in page
    found = re.search(r"<code>([0-9a-f-]{36})</code>", page)
    assert found is not None
    place = f"/gestion/structures/{UUID(found[1])}"
    refused = await ada.send(f"{place}/droits", 422, scope="referral:send", verb="donner", ends_on="")
    assert "demande une convention signée" in refused
    signing = {
        "text_version": "2026-1", "signed_on": (today() + timedelta(days=1)).isoformat(), "ends_on": "",
        "parties": "Foyer\nPlateforme", "secrecy": "professional", "may_sanction": "non",
        "controller_name": "Foyer ASBL", "controller_address": "1 rue", "controller_contact": "accueil",
        "controller_dpo": "dpo",
    }  # fmt: skip
    wrong = await ada.send(f"{place}/convention", 422, **signing)
    assert 'id="signed_on-fault"' in wrong
    assert "Foyer ASBL" in wrong
    signed = await ada.send(f"{place}/convention", **(signing | {"signed_on": today().isoformat()}))
    assert "La convention est enregistrée" in signed
    assert "Le droit est donné" in await ada.send(f"{place}/droits", scope="referral:send", verb="donner", ends_on="")
    far = {"scope": "directory:write", "verb": "donner", "ends_on": "", "themes": "childcare, mobility"}
    wrong = await ada.send(f"{place}/droits", 422, **far, municipalities="Paris")
    assert "Écrivez des thèmes comme" in wrong
    limited = await ada.send(f"{place}/droits", **far, municipalities="be:52011")
    assert "limité à themes: childcare, mobility, municipalities: be:52011" in limited
    invited = await ada.send(f"{place}/inviter", name="Mo", email="mo@foyer.example", roles="administrator")
    await guest.see("/invitation")
    assert "Foyer vous invite" in await guest.send("/invitation", secret=link_in(invited))
    ending = re.search(r'action="([^"]+/finir)"', await ada.see(place))
    assert ending is not None
    ended = await ada.send(ending[1], ends_on="")
    assert "La fin de la convention est notée" in ended
    assert "donné, ne compte pas" in ended
    assert "La structure est fermée" in await ada.send(f"{place}/etat", verb="fermer")
    assert "La structure est rouverte" in await ada.send(f"{place}/etat", verb="rouvrir")
    gone = await ada.send(f"/gestion/structures/{PLATFORM['id']}/droits", scope="platform:admin", verb="retirer")
    assert "Nommez d&#39;abord quelqu&#39;un" in gone
    journal = await ada.see("/gestion/journal")
    assert "Convention finie" in journal
    assert "Structure inscrite" in journal
    assert HOUSE["name"] in await ada.see("/gestion/structures")
