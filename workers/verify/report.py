"""What a verification found: for machines (`to_json`) and for people (`render`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

TableKey = tuple[str, str, str | None]  # ranking, period, scope

# What a logarithm or a power goes into may differ by so much: relative, absolute below 1 (docs/formats.md section 4).
TOLERANCE = 1e-12
# Kept of each kind of difference; all are counted.
KEPT = 1_000
SHOWN = 20


class Difference(NamedTuple):
    """`published` and `recomputed` are numbers or texts; None: it is not there."""

    kind: str
    key: str
    published: Any
    recomputed: Any


@dataclass
class Report:
    """`offsets`: partition -> next offset, of the last revision; `redis_offsets` those at which the cells were
    compared.

    `counts`: outcome -> events, recomputed at `offsets`. `compared`: what -> how many; `by_tolerance`: how many of them
    went through a logarithm or a power, and so may differ by 1e-12. `differences` holds the first KEPT of each kind,
    `found` counts all. `at_rest`: no revision followed while this was made, so whole tables had to be up to date.
    """

    system: str
    revision: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    redis_offsets: dict[int, int] = field(default_factory=dict)
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    compared: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    at_rest: bool = True
    by_tolerance: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is no difference."""
        return not self.found

    def include(self, other: Report) -> None:
        """Add what another report compared and found."""
        self.compared.update(other.compared)
        self.found.update(other.found)
        self.differences += other.differences

    def differ(self, kind: str, key: str, published: Any, recomputed: Any) -> None:
        """Note a difference."""
        self.found[kind] += 1
        if self.found[kind] <= KEPT:
            self.differences.append(Difference(kind, key, published, recomputed))

    def same(self, what: str, kind: str, key: str, published: Any, recomputed: Any) -> None:
        """Count a comparison of `what`, and note a difference unless both are equal: floats bit for bit."""
        self.compared[what] += 1
        if not equal(published, recomputed):
            self.differ(kind, key, published, recomputed)

    def near(self, what: str, kind: str, key: str, published: Any, recomputed: Any) -> None:
        """The same where a logarithm or a power goes into a number: equal within 1e-12."""
        self.by_tolerance += isinstance(recomputed, float)
        numbers = type(published) in (int, float) and isinstance(recomputed, float)
        if numbers and abs(published - recomputed) <= tolerance(recomputed):
            self.compared[what] += 1
        else:
            self.same(what, kind, key, published, recomputed)

    def to_json(self) -> dict[str, Any]:
        """One JSON object: `differences` is their number, `cells`, `values` and the like are how many were compared."""
        return {
            "system": self.system,
            "ok": self.ok,
            "revision": self.revision,
            "at_rest": self.at_rest,
            "offsets": {str(p): offset for p, offset in sorted(self.offsets.items())},
            "redis_offsets": {str(p): offset for p, offset in sorted(self.redis_offsets.items())},
            "events": self.events,
            "counts": dict(sorted(self.counts.items())),
            **{what: self.compared[what] for what in ("cells", "days", "values", "growths", "ranks", "tables")},
            "compared": dict(self.compared),
            "by_tolerance": self.by_tolerance,
            "differences": sum(self.found.values()),
            "kinds": dict(self.found),
            "first": [each._asdict() for each in self.differences[:SHOWN]],
            "seconds": round(self.seconds, 3),
        }


def total(reports: Sequence[Report], seconds: float) -> dict[str, Any]:
    """One JSON object of several systems. Redis, which they share, stands in each of the reports."""
    return {
        "ok": all(report.ok for report in reports),
        "differences": sum(sum(report.found.values()) for report in reports),
        "by_tolerance": sum(report.by_tolerance for report in reports),
        "systems": [report.to_json() for report in reports],
        "seconds": round(seconds, 3),
    }


def tolerance(v: float) -> float:
    """By how much a number like `v` may be off, where it is not known to the bit."""
    return TOLERANCE * max(1.0, abs(v))


def equal(published: Any, recomputed: Any) -> bool:
    """Equal, and of doubles every bit: 0.0 is not -0.0. A whole number in JSON is the double that it stands for."""
    if isinstance(recomputed, float) and type(published) in (int, float):
        return repr(float(published)) == repr(recomputed)
    return type(published) is type(recomputed) and bool(published == recomputed)


def render(report: Report, console: Console) -> None:
    """Print what was compared, and the first differences of each kind."""
    console.print(
        f"[bold]{report.system}[/bold] revision {report.revision}: "
        f"{report.events:,} events read again in {report.seconds:.1f} s"
        + ("" if report.at_rest else ", while it went on publishing")
    )
    summary = Table("compared", "", box=None, pad_edge=False)
    summary.columns[1].justify = "right"
    for what, n in report.compared.items():
        summary.add_row(what, f"{n:,}")
    if report.by_tolerance:
        summary.add_row("of these within 1e-12 (log, pow)", f"{report.by_tolerance:,}")
    for outcome, n in sorted(report.counts.items()):
        summary.add_row(f"  {outcome}", f"{n:,}", style="dim")
    console.print(summary)
    if report.ok:
        console.print("[green]no difference[/green]")
        return
    shown: Counter[str] = Counter()
    table = Table("difference", "where", "published", "recomputed")
    for each in report.differences:
        shown[each.kind] += 1
        if shown[each.kind] <= SHOWN:
            table.add_row(each.kind, each.key, _text(each.published), _text(each.recomputed))
    console.print(table)
    for kind, n in report.found.items():
        if n > SHOWN:
            console.print(f"{kind}: {n:,} in all")
    console.print(f"[red]{sum(report.found.values()):,} differences[/red]")


def _text(value: Any) -> str:
    return "-" if value is None else repr(value) if isinstance(value, float) else str(value)
