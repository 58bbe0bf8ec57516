"""The smallest value that a JSON schema of an OpenAPI document takes: for calls that shall fail by who calls."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4


def fitting(schema: dict[str, Any], document: dict[str, Any]) -> Any:  # noqa: C901, PLR0911 - a way for each kind
    """Answer a value that a schema takes: required members alone, the first of every choice.

    Args:
        schema: JSON Schema as OpenAPI 3.1 holds it.
        document: What its references point into.
    """
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return fitting(target, document)
    if "example" in schema or schema.get("examples"):
        return schema["example"] if "example" in schema else schema["examples"][0]
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return fitting(next(one for one in schema[choice] if one.get("type") != "null"), document)
    kind = schema.get("type", "object")
    if kind == "array":
        return [fitting(schema.get("items", {}), document) for _ in range(schema.get("minItems", 0))]
    if kind in {"integer", "number"}:
        return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return True
    if kind == "string":
        return _text(schema)
    members = schema.get("properties", {})
    return {name: fitting(members[name], document) for name in schema.get("required", ()) if name in members}


def _text(schema: dict[str, Any]) -> str:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    said = {
        "uuid": str(uuid4()),
        "date": tomorrow.date().isoformat(),
        "date-time": tomorrow.isoformat(),
        "email": "nobody@example.org",
        "uri": "https://example.org/",
    }.get(schema.get("format", ""), "words")
    return said.ljust(schema.get("minLength", 0), "s")[: schema.get("maxLength")]
