"""What each main page weighs, and when it can be used on a slow line: `make bench-pages`.

Chromium draws each page of a demonstration with nothing kept from before, on a line such as a telephone has in the
country. Weights are what crossed the line, heads included. A page can be used once its scripts have run
(`DOMContentLoaded`); beside it stands what that line needs at least, for one question and as many bytes.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import ROUNDS, Result, report
from support.screenshots import CODE, Camera, Scene, chromium, set_scene
from support.stack import Stack

BITS_A_SECOND = 1_600_000
LATENCY_MS = 150
"""The line of Lighthouse's "slow 4G", and a processor four times as slow."""
SLOWER = 4
KB = 1_000


@dataclass
class Seen:
    """One loading of a page."""

    page: int
    """Bytes without the fonts."""
    fonts: int
    usable_ms: float


class Line:
    """Counts what crosses the line while a page is loaded."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._fonts: set[str] = set()
        self.page = self.fonts = 0
        self._wire = page.context.new_cdp_session(page)
        self._wire.send("Network.enable")
        self._wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self._wire.on("Network.responseReceived", self._answered)
        self._wire.on("Network.loadingFinished", self._finished)

    def slow(self) -> None:
        """Make line and processor slow."""
        bytes_a_second = BITS_A_SECOND / 8
        self._wire.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": LATENCY_MS,
                "downloadThroughput": bytes_a_second,
                "uploadThroughput": bytes_a_second,
            },
        )
        self._wire.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})

    def _answered(self, told: dict[str, Any]) -> None:
        if told["type"] == "Font":
            self._fonts.add(told["requestId"])

    def _finished(self, told: dict[str, Any]) -> None:
        size = int(told["encodedDataLength"])
        if told["requestId"] in self._fonts:
            self.fonts += size
        else:
            self.page += size


def seen(context: BrowserContext, address: str) -> Seen:
    """Load a page once on the slow line, in a tab of its own."""
    page = context.new_page()
    line = Line(page)
    line.slow()
    page.goto(address, wait_until="load")
    page.wait_for_timeout(500)  # What a script asks for once the page stands, its fonts among it.
    usable = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    page.close()
    return Seen(line.page, line.fonts, float(usable))


@contextmanager
def signed_in(camera: Camera, account: dict[str, Any]) -> Iterator[BrowserContext]:
    """Answer a browser's context in which a counsellor has signed in."""
    with camera.browser.new_context(locale="fr-BE") as context:
        camera.enter(context, account).close()
        yield context


def measured(browser: Browser, stack: Stack, scene: Scene) -> list[Result]:
    """Load every main page some times; answer weights against their budgets, times against the line's own."""
    camera = Camera(browser, stack.base_url)
    found: list[Result] = []

    def note(name: str, context: BrowserContext, path: str, budget_kb: int | None) -> None:
        turns = [seen(context, stack.base_url + path) for _ in range(ROUNDS)]
        weight = round(median(one.page for one in turns) / KB, 1)
        fonts = round(median(one.fonts for one in turns) / KB, 1)
        usable = median(one.usable_ms for one in turns)
        least = LATENCY_MS + (weight + fonts) * KB * 8 * 1_000 / BITS_A_SECOND
        if budget_kb is not None:
            ratio = weight / budget_kb
            found.append(
                Result(f"{name}, without fonts", weight, budget_kb, round(ratio, 2), 1, ratio <= 1, "kB", ROUNDS)
            )
        found.append(
            Result(
                f"{name}, usable on a slow line",
                round(usable),
                round(least),
                round(usable / least, 2),
                None,
                True,
                "ms",
                ROUNDS,
            )
        )
        sys.stdout.write(
            f"{name:24} {weight:6.1f} kB, fonts {fonts:5.1f} kB, usable after {usable / 1_000:.2f} s"
            f" (the line alone {least / 1_000:.2f} s)\n"
        )

    with browser.new_context(locale="fr-BE") as anybody:
        note("the door", anybody, "/connexion", 100)
    with signed_in(camera, scene.sender) as context:
        note("search, empty", context, "/recherche", 100)
        note("search, with answers", context, "/recherche?theme=childcare&place=6000+Charleroi", None)
        note("service", context, f"/services/{scene.service}", 100)
        note("relay", context, f"/relais/nouveau?service={scene.service}&place=6000+Charleroi", 100)
        note("inbox", context, "/relais", 100)
        note("thread", context, f"/relais/{scene.thread}", 100)
    with signed_in(camera, stack.demo["administrator"]) as context:
        note("console", context, "/gestion", 100)
    with browser.new_context(locale="fr-BE") as hers:
        page = hers.new_page()
        page.goto(scene.card)
        page.locator("#digits").fill(CODE)
        page.get_by_role("button", name="Ouvrir ma page").click()
        page.wait_for_url("**/p/ici")
        page.close()
        note("her page", hers, "/p/ici", 30)
    return found


def main() -> None:
    """Start a demonstration, play some hand-overs, measure its pages."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        stack = Stack.start(Path(folder) / "home")
        held.callback(stack.stop)
        scene = set_scene(stack, held)
        play = held.enter_context(sync_playwright())
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        held.callback(browser.close)
        report("pages", measured(browser, stack, scene))


if __name__ == "__main__":
    main()
