"""How an import is to be run, and what came of it; both are kept with its job as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import UUID

from relais_directory.judging import Remark
from relais_directory.writing import Outcome

TOLD: Final = 1_000
"""Refusals and remarks kept in the report; the rest is counted."""

COUNTS: Final = ("read", "new", "changed", "unchanged", "kept", "retired", "refused", "flagged")


@dataclass(slots=True)
class Report:
    """What came of an import: read = new + changed + unchanged + kept + refused."""

    source: str
    file: Mapping[str, Any] = field(default_factory=dict)
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    kept: int = 0
    """Left as they are: their organisations keep them themselves."""
    retired: int = 0
    held: int = 0
    """Not in the file, and not retired yet: more than half of the source at once looks like a file that was cut."""
    refused: int = 0
    flagged: int = 0
    refusals: list[Remark] = field(default_factory=list)
    flags: list[Remark] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def refuse(self, remarks: Iterable[Remark]) -> None:
        """Note a row that was not taken, with every reason."""
        self.refused += 1
        for remark in map(_storable, remarks):
            self.reasons[f"{remark.field}: {remark.reason}"] += 1
            if len(self.refusals) < TOLD:
                self.refusals.append(remark)

    def flag(self, remark: Remark) -> None:
        """Note a row that was taken, with something to look at."""
        self.flagged += 1
        if len(self.flags) < TOLD:
            self.flags.append(_storable(remark))

    def count(self, outcome: Outcome) -> None:
        """Note what became of a row."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def summary(self) -> dict[str, int]:
        """Answer the counts."""
        return {name: getattr(self, name) for name in COUNTS}

    def as_json(self) -> dict[str, Any]:
        """Answer the report as JSON-able values."""
        return {
            "source": self.source,
            "file": dict(self.file),
            **self.summary(),
            "held": self.held,
            "reasons": dict(self.reasons.most_common()),
            "refusals": [_remark(one) for one in self.refusals],
            "flags": [_remark(one) for one in self.flags],
        }

    @classmethod
    def restored(cls, told: Mapping[str, Any]) -> Self:
        """Answer the report of an import that goes on."""
        return cls(
            told["source"],
            told.get("file", {}),
            **{name: told[name] for name in COUNTS},
            held=told.get("held", 0),
            refusals=[Remark(**one) for one in told["refusals"]],
            flags=[Remark(**one) for one in told["flags"]],
            reasons=Counter(told["reasons"]),
        )


def _storable(one: Remark) -> Remark:
    """Answer a remark without the signs that PostgreSQL cannot keep: a faulty row has them in names too."""
    record, where = (
        text and text.encode(errors="replace").decode().replace("\0", "?") for text in (one.record, one.field)
    )
    return Remark(one.line, record, where or "row", one.reason, one.file)


def _remark(one: Remark) -> dict[str, Any]:
    told = {"line": one.line, "record": one.record, "field": one.field, "reason": one.reason}
    return told | ({"file": one.file} if one.file else {})


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is to be read.

    Attributes:
        mapping: `canonical`, the name of a shipped mapping, or the path of one; chosen by the columns where absent.
        source: The name under which its entries stand.
        structures: data.inclusion's file of structures beside the services.
        organisation_id: The only registered organisation whose services the file may tell of; None: any.
        limits: Of the grant that it is imported under: themes, municipalities.
    """

    mapping: str | None = None
    source: str | None = None
    structures: str | None = None
    organisation_id: UUID | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Answer the options as JSON-able values."""
        return {
            "mapping": self.mapping,
            "source": self.source,
            "structures": self.structures,
            "organisation_id": str(self.organisation_id) if self.organisation_id else None,
            "limits": dict(self.limits),
        }

    @classmethod
    def restored(cls, told: Mapping[str, Any]) -> Self:
        """Answer the options of a job."""
        organisation = told.get("organisation_id")
        return cls(
            told.get("mapping"),
            told.get("source"),
            told.get("structures"),
            UUID(organisation) if organisation else None,
            told.get("limits") or {},
        )
