"""Pictures of the pages, drawn from a demonstration of their own: `make screenshots`.

Everything on them is invented. WebP, because a picture of a page then weighs a third of what it weighs as PNG; the
browser that draws a page writes it, so that nothing more is installed.
"""

import shutil
import sys
import tempfile
from base64 import b64decode, b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.stack import Stack, if_match, key

TO: Final = Path(__file__).parents[2] / "docs" / "screenshots"
LARGEST: Final = 150_000
"""Bytes: a README with some of them still opens at once."""
CODE: Final = "482910"
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 1.5},
}
AS_WEBP: Final = """async (png) => {
    const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
    const image = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").drawImage(image, 0, 0);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({type: "image/webp", quality: 0.82})).arrayBuffer());
    let text = "";
    for (const one of bytes) text += String.fromCharCode(one);
    return btoa(text);
}"""


@dataclass
class Scene:
    """What there is to see: two structures with hand-overs between them, a service, her card.

    Attributes:
        sender: Who hands over; the account of a counsellor.
        recipient: Who takes over.
        service: A service of the recipient.
        thread: A hand-over with a meeting ahead and messages.
        card: The link of her card.
    """

    sender: dict[str, Any]
    recipient: dict[str, Any]
    service: str
    thread: str
    card: str


class Side:
    """One structure, acting by its software."""

    def __init__(self, api: httpx.Client, name: str) -> None:
        self.api = api
        self.name = name

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Do something that has to succeed."""
        answer = self.api.post(path, json=body, headers=headers or key())
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def step(self, id_: str, action: str, **body: Any) -> None:
        """Take a step of the handshake."""
        place = f"/v1/referrals/{id_}"
        self.post(f"{place}/{action}", body, if_match(self.api.get(place)) | key())

    def propose(self, to: dict[str, str], theme: str, words: str, called: str, urgency: str = "days") -> str:
        """Hand somebody over, with her agreement; answer the id."""
        person = {
            "identity": {"called": called},
            "contact": {"phone": "0470 00 00 00", "safety": {"sms": True, "may_say_who": True}},
            "area": {"municipality": "be:52011", "postcode": "6000"},
            "languages": ["fr"],
        }
        need = {"theme": theme, "words": words}
        draft = {"recipient": to, "counsellor": {"name": self.name}, "person": person, "needs": [need]}
        id_ = str(self.post("/v1/referrals", {**draft, "urgency": urgency})["id"])
        agreed = {
            "purposes": ["referral", "feedback"],
            "data_categories": ["identity", "contact", "needs"],
            "method": "in_person_oral",
            "language": "fr",
            "notice_version": "2026-1",
            "collected_by": self.name,
            "given_at": datetime.now(UTC).isoformat(),
        }
        self.post(f"/v1/referrals/{id_}/consents", agreed)
        self.step(id_, "propose")
        return id_


def service_of(api: httpx.Client, organisation_id: str, theme: str) -> dict[str, str]:
    """Answer a service of an organisation that takes hand-overs here."""
    near = {"postcode": "6000", "radius_km": 50, "theme": theme, "organisation_id": organisation_id, "limit": 50}
    cards = api.get("/v1/directory/search", params=near).json()["items"]
    card = next(one for one in cards if one["can_receive"] == "relais")
    return {"organisation_id": organisation_id, "service_id": str(card["service"]["id"])}


def set_scene(stack: Stack, held: ExitStack) -> Scene:
    """Play some hand-overs between a nursery's house and a mobility centre."""
    counsellors = stack.demo["counsellors"]
    recipient = next(one for one in counsellors if "Tournebise" in one["organisation"])
    sender = next(one for one in counsellors if "Roulibelle" in one["organisation"])
    clients = {one["organisation_id"]: one for one in stack.clients("referral:send", "referral:receive")}
    ana, ben = (
        Side(held.enter_context(stack.api(clients[one["organisation_id"]])), one["name"]) for one in (sender, recipient)
    )
    to = service_of(ana.api, recipient["organisation_id"], "childcare")
    taken = {"counsellor": {"name": ben.name}}
    thread = ana.propose(to, "childcare", "une place près du canal, le matin surtout", "Mme L.")
    card = str(
        ana.post(f"/v1/referrals/{thread}/access", {"code": {"kind": "digits", "value": CODE}, "level": "full"})["link"]
    )
    ben.step(thread, "accept", **taken)
    ana.post(f"/v1/referrals/{thread}/messages", {"words": "Elle préfère le matin, son mari garde la petite."})
    ben.post(f"/v1/referrals/{thread}/messages", {"words": "C'est noté : nous l'attendons à l'accueil."})
    when = (datetime.now(UTC) + timedelta(days=4)).replace(hour=8, minute=30, second=0, microsecond=0)
    ben.step(thread, "plan_meeting", starts_at=when.isoformat(), place="à l'accueil")
    ana.propose(to, "childcare", "une place avant lundi, je commence un travail", "M. D.", "today")
    ana.propose(to, "childcare", "le mercredi après-midi", "Mme S.")
    met = ana.propose(to, "childcare", "pendant ma formation", "Mme K.")
    ben.step(met, "accept", **taken)
    away = service_of(ben.api, sender["organisation_id"], "mobility")
    ben.propose(away, "mobility", "aller au travail à cinq heures", "M. T.")
    return Scene(sender, recipient, to["service_id"], thread, card)


class Camera:
    """Takes pictures of pages, one by one."""

    def __init__(self, browser: Browser, base_url: str) -> None:
        self.browser = browser
        self.base_url = base_url
        self.table = browser.new_page()

    def take(self, page: Page, name: str) -> None:
        """Keep what a page shows."""
        # The inbox and the thread keep a stream open: there the network is never idle.
        page.wait_for_load_state("load" if "/relais" in page.url else "networkidle")
        page.evaluate("document.fonts.ready")
        picture = b64decode(self.table.evaluate(AS_WEBP, b64encode(page.screenshot()).decode()))
        assert len(picture) < LARGEST, f"{name}: {len(picture)} bytes"
        (TO / f"{name}.webp").write_bytes(picture)
        sys.stdout.write(f"{name}: {len(picture) // 1000} kB\n")

    def enter(self, context: BrowserContext, account: dict[str, Any]) -> Page:
        """Sign in."""
        page = context.new_page()
        page.goto(self.base_url + "/connexion")
        page.get_by_label("Adresse e-mail").fill(account["email"])
        page.get_by_label("Mot de passe").fill(account["password"])
        page.get_by_role("button", name="Se connecter").click()
        page.get_by_role("button", name="Se déconnecter").wait_for()
        return page


def draw(camera: Camera, scene: Scene, operator: dict[str, Any], look: str) -> None:
    """Take a picture of each page in one look."""
    options = {"locale": "fr-BE", "timezone_id": "Europe/Brussels", "reduced_motion": "reduce", **LOOKS[look]}
    pages = {
        "search": (scene.sender, "/recherche?place=6000+Charleroi&theme=childcare"),
        "service": (scene.sender, f"/services/{scene.service}"),
        "relay": (scene.sender, f"/relais/nouveau?service={scene.service}&place=6000+Charleroi"),
        "inbox": (scene.recipient, "/relais"),
        "thread": (scene.recipient, f"/relais/{scene.thread}"),
        "console": (operator, "/gestion"),
        "traces": (operator, "/gestion/traces?service=referral"),
    }
    for account in (scene.sender, scene.recipient, operator):
        context = camera.browser.new_context(**options)
        page = camera.enter(context, account)
        for name, (whose, path) in pages.items():
            if whose is account:
                page.goto(camera.base_url + path)
                if name == "traces":
                    # One call on its way through the services tells more than a list of calls.
                    page.get_by_role("link", name="/accept").first.click()
                    page.get_by_role("heading", level=1).wait_for()
                camera.take(page, f"{name}-{look}")
        context.close()
    context = camera.browser.new_context(**options)
    page = context.new_page()
    page.goto(scene.card)
    page.locator("#digits").fill(CODE)
    page.get_by_role("button", name="Ouvrir ma page").click()
    page.wait_for_url("**/p/ici")
    camera.take(page, f"her-page-{look}")
    context.close()


def chromium() -> str:
    """Answer where this machine's Chromium is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(found for name in names if (found := shutil.which(name)))


def main() -> None:
    """Start a demonstration, play in it, and draw every page."""
    TO.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, ExitStack() as held:
        stack = Stack.start(Path(home))
        held.callback(stack.stop)
        scene = set_scene(stack, held)
        playwright = held.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        camera = Camera(browser, stack.base_url)
        for look in LOOKS:
            draw(camera, scene, stack.demo["administrator"], look)
        browser.close()


if __name__ == "__main__":
    main()
