"""What the rules say: one alert of one rule and entity, as it stands after a revision."""

from __future__ import annotations

from msgspec import Struct

PENDING, FIRING, HELD, RESOLVED = "pending", "firing", "held", "resolved"


class Alert(Struct, frozen=True, kw_only=True):
    """State of a rule and entity (and node, None: the root; a source: `source:NAME`).

    `value`, `bound`: as the rule counts (fractions, places, days); `since_us`: event time since when the condition
    holds; `at_us`: watermark of the transition, in `revision`; `held_by`: what explains it, in words: of a held
    alert, and of a resolved one that was held to its end.
    """

    system: str
    rule: str
    type: str
    severity: str
    entity: str
    node: str | None
    period: str | None
    state: str
    value: float
    bound: float
    since_us: int
    at_us: int
    revision: int
    held_by: str = ""

    @property
    def subject(self) -> str:
        """Entity, or `entity@node`."""
        return subject_of(self.entity, self.node)


def subject_of(entity: str, node: str | None) -> str:
    """Entity, or `entity@node`: with the rule and the system the key of an alert."""
    return entity if node is None else f"{entity}@{node}"


def parts_of(subject: str) -> tuple[str, str | None]:
    """Entity and node of a subject."""
    entity, _, node = subject.partition("@")
    return entity, node or None
