"""Which codes of areas cover a municipality."""

EVERYWHERE = "*"
"""The area of a service that tells none."""


def codes_of(*municipalities: str | None) -> tuple[str, ...]:
    """Answer the codes by which an area may cover municipalities: their own, their départements', everywhere."""
    found = {EVERYWHERE}
    for code in municipalities:
        if code:
            found.add(code)
            if code.startswith("fr:"):
                found.add(code[:6] if code[3:5] in {"97", "98"} else code[:5])
    return tuple(sorted(found))
