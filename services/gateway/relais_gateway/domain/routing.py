"""Which operation a path names: templates of the OpenAPI documents, the literal before the parameter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
OWN: Final = "gateway"
"""The service of the gateway's own operations."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: where it lives, who may, and how it is called in traces.

    Attributes:
        upstream: The service that serves it.
        method: In capitals.
        template: The path with its parameters in braces.
        scopes: Any one of them opens it.
        public: Why it is open to all; None where it is not, and wherever a scope is declared.
        body_max: Bytes of a body, where it takes more (or less) than others do.
    """

    upstream: str
    method: str
    template: str
    scopes: frozenset[str]
    public: str | None
    body_max: int | None = None

    @property
    def name(self) -> str:
        """What spans and metrics call it: never the path itself."""
        return f"{self.method} {self.template}"


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    operations: dict[str, Operation] = field(default_factory=dict)


class RouteTable:
    """Every operation of the gateway and its services.

    Args:
        operations: Each with a template that no other of its method shares.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        self._literal: dict[str, _Node] = {}
        for operation in operations:
            node = self._root
            for part in operation.template.removeprefix("/").split("/"):
                if part.startswith("{"):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literal.setdefault(part, _Node())
            node.operations[operation.method] = operation
            if "{" not in operation.template:
                self._literal[operation.template] = node

    def find(self, method: str, path: str) -> Operation | frozenset[str] | None:
        """Answer the operation that a path names, the methods that the path has instead, or nothing."""
        node = self._literal.get(path) or _walk(self._root, path.removeprefix("/").split("/"))
        if node is None or not node.operations:
            return None
        # What reads with GET is asked about with HEAD.
        found = node.operations.get(method) or (node.operations.get("GET") if method == "HEAD" else None)
        return found or frozenset(node.operations)


def _walk(node: _Node, parts: list[str]) -> _Node | None:
    if not parts:
        return node
    first, rest = parts[0], parts[1:]
    if first in node.literal and (found := _walk(node.literal[first], rest)) is not None and found.operations:
        return found
    return _walk(node.parameter, rest) if node.parameter is not None and first else None


def operations(upstream: str, document: Mapping[str, Any]) -> tuple[list[Operation], list[str]]:
    """Answer the operations of an OpenAPI document, and the names of those that declare neither scope nor reason.

    The latter are not served: deny by default.
    """
    found, undeclared = [], []
    for template, methods in document.get("paths", {}).items():
        for method, said in methods.items():
            if method not in METHODS:
                continue
            scopes = frozenset(scope for way in said.get("security", ()) for names in way.values() for scope in names)
            # Whoever declares both meant the stricter one.
            public = None if scopes else said.get("x-relais-public")
            if scopes or public:
                found.append(Operation(upstream, method.upper(), template, scopes, public, _body_max(said)))
            else:
                undeclared.append(f"{method.upper()} {template}")
    return found, undeclared


def _body_max(said: Mapping[str, Any]) -> int | None:
    """Answer how large a body an operation says that it takes; what is no number of bytes says nothing."""
    given = said.get("x-relais-body-max")
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else None
