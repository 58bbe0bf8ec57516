"""What a browser says it is, in few words by which its owner knows it again; where a try of a password comes from."""

from dataclasses import dataclass
from typing import Final

BROWSERS: Final = (
    # The order matters: most name the ones below them too.
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a try of a password comes from.

    Attributes:
        name: A network, or a browser: whoever tries from there is counted together.
        known: A browser in which this very account was opened before, or somebody who is in it now.
    """

    name: str = ""
    known: bool = False


ANYWHERE: Final = Source()
"""Where nothing says from where a try comes."""


def named(user_agent: str) -> str:
    """Answer browser and system, as "Firefox, Windows"; empty where neither is known. Versions are not kept."""
    found = (next((name for sign, name in names if sign in user_agent), "") for names in (BROWSERS, SYSTEMS))
    return ", ".join(name for name in found if name)
