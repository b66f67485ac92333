"""An alert as outputs need it, and what the alert worker needs of an output."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from index.rules.rule import RANK, SILENCE
from stream.messages import AlertMessage

Labels = tuple[str, ...]
LABELS = ("alertname", "severity", "system", "entity", "kind", "node", "period")


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as outputs need it. `since_s`, `ended_s`: wall-clock UTC seconds, as Alertmanager wants them.

    `state`: `firing` or `resolved`; `cause`: anything that is JSON; `revision`: the one that fired or resolved it.
    """

    system: str
    rule: str
    entity: str
    kind: str
    period: str
    severity: str
    state: Literal["firing", "resolved"]
    summary: str
    description: str
    since_s: float
    ended_s: float | None = None
    node: str = ""  # of the index tree; empty: the root
    runbook: str = ""
    dashboard: str = ""
    value: float | None = None
    bound: float | None = None
    revision: int = 0
    cause: Any = None

    @property
    def labels(self) -> Labels:
        """What Alertmanager knows the alert by; as in LABELS."""
        return self.rule, self.severity, self.system, self.entity, self.kind, self.node, self.period

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Which alert it is, whatever its period and severity."""
        return self.system, self.rule, self.entity, self.node


def notice_of(message: AlertMessage, kind: str, since_s: float, ended_s: float | None = None) -> Notice:
    """What outputs tell of an alert that fires or has resolved (one that is held is no news: do not ask).

    `kind`: of its entity; `since_s`: when the topic said that it fires (Kafka's time, UTC seconds: the same after a
    restart), `ended_s`: likewise, that it resolved.
    """
    where = message.entity if message.node is None else f"{message.entity}, {message.node}"
    seen, bound = (_number(message.type, value) for value in (message.value, message.bound))
    lines = [
        f"{message.rule} {where}, {message.period or 'no period'}: {seen}, bound {bound}",
        f"event time: since {_time(message.since)}, noticed at {_time(message.at)}; revision {message.revision}",
    ]
    if message.cause:
        lines.append("cause: " + msgspec.json.encode(message.cause).decode())
    return Notice(
        system=message.system, rule=message.rule, entity=message.entity, kind=kind, period=message.period or "",
        severity=message.severity, state="firing" if ended_s is None else "resolved", node=message.node or "",
        summary=f"{message.title or message.rule}: {where} {seen}", description="\n".join(lines),
        since_s=since_s, ended_s=ended_s, runbook=message.links.get("runbook", ""),
        dashboard=message.links.get("dashboard", ""), value=message.value, bound=message.bound,
        revision=message.revision, cause=message.cause,
    )  # fmt: skip


def _number(kind: str, value: float) -> str:
    if kind == SILENCE:
        return f"{value:.1f} days"
    return f"{value:.0f} places" if kind == RANK else f"{value:+.1%}"


def _time(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat(timespec="seconds")


class Output(Protocol):
    """What the alert worker needs of an output."""

    name: str
    counts: Counter[str]  # sent, failed (calls), dropped (notices given up)

    def tell(self, notice: Notice, *, known: bool = False) -> None:
        """Take a note. `known`: of before this process; who was told of it then need not hear it again."""

    async def run(self) -> None:
        """Send until cancelled."""
