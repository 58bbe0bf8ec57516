"""A record in the making: every part knows where in its HSDS document it stood."""

from collections.abc import Mapping
from typing import Any

from relais_directory.formats.hsds.terms import (
    join,
    shape_of,
)
from relais_directory.records import (
    Part,
)


class Node(dict[str, Any]):
    """A part of a record in the making, which knows where in the document it and its fields stood.

    Args:
        at: Path of the HSDS object, as in `service_at_locations.0.location`; empty for the document itself.
        kind: The part that it is to become.
    """

    __slots__ = ("at", "kind", "names")

    def __init__(self, at: str, kind: type[Part]) -> None:
        super().__init__()
        self.at = at
        self.kind = kind
        self.names: dict[str, str] = {}

    def where(self, field: str) -> str:
        """Answer where a field of the record stood in the document: `locations.0.latitude` is not HSDS's word."""
        steps = field.split(".")
        at, here = self.at, self
        for number, step in enumerate(steps):
            if isinstance(here, Node):
                at = here.names.get(step) or join(here.at, shape_of(here.kind).theirs.get(step, step))
            else:
                at = join(at, step)
            here = _child(here, step)
            if isinstance(here, Node):
                at = here.at
            elif not isinstance(here, list):
                # Below this nothing is ours: the steps are those of the document.
                return join(at, *steps[number + 1 :])
        return at


class Made(Node):
    """A record in the making, with what is to be said of its document.

    Attributes:
        remarks: Paths of the document, and what came of what stood there.
    """

    __slots__ = ("remarks",)

    def __init__(self, kind: type[Part]) -> None:
        super().__init__("", kind)
        self.remarks: list[tuple[str, str]] = []


def _child(parent: Any, step: str) -> Any:  # noqa: ANN401 - a part, a list, or neither
    if isinstance(parent, Mapping):
        return parent.get(step)
    if isinstance(parent, list) and step.isdigit() and int(step) < len(parent):
        return parent[int(step)]
    return None
