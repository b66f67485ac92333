"""Telling people: from alerts on the topic to notices of the outputs, less those that a person silenced.

A firing alert is told once its cause is known, or could not be found in CAUSE_S. What was told is told again when it
resolves. Held alerts are on the topic only. Told from the topic alone, so a restart tells the same: Alertmanager knows
it by its labels, and the webhook is told that it is `known`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

from stream.alerts import Key, Standing
from stream.messages import AlertMessage, AlertSilence
from workers.alert_notice import Notice, Output
from workers.alert_system import subject_of_message

ANY = "*"
CAUSE_S = 15.0


def silence_name(rule: str, subject: str) -> str:
    """The name of a silence, as in its key."""
    return f"{rule}/{subject}"


def silenced_by(silences: dict[str, AlertSilence], rule: str, subject: str, now_s: float) -> AlertSilence | None:
    """The silence that is in force for an alert; one of an entity is also one of its nodes."""
    entity = subject.partition("@")[0]
    for r in (rule, ANY):
        for s in dict.fromkeys((subject, entity, ANY)):
            found = silences.get(silence_name(r, s))
            if found is not None and datetime.fromisoformat(found.until).timestamp() > now_s:
                return found
    return None


class Teller:
    """Tells `outputs` of alerts. `wall`: UTC seconds, which people's silences are in."""

    def __init__(self, outputs: Iterable[Output], wall: Callable[[], float] = time.time) -> None:
        self._outputs, self._wall = list(outputs), wall
        self._told: dict[Key, Notice] = {}
        self._waiting: dict[Key, tuple[AlertMessage, float, bool]] = {}  # message, wall time of firing, known

    def begin(self, standing: Iterable[Standing]) -> None:
        """What stood on the topic at the start."""
        for each in standing:
            if each.alert.state == "firing":
                self._waiting[_key(each.alert)] = each.alert, each.written_ms / 1000, True

    def told(self, message: AlertMessage) -> None:
        """An alert was committed to the topic."""
        key = _key(message)
        if message.state == "firing":
            before = self._waiting.get(key)
            self._waiting[key] = message, self._wall() if before is None else before[1], False
            return
        self._waiting.pop(key, None)
        notice = self._told.pop(key, None)
        if notice is not None and message.state == "resolved":
            self._tell(_notice(message, notice.since_s, self._wall()), False)

    def turn(self, silences: dict[str, AlertSilence]) -> None:
        """Tell what is due: has its cause or has waited for it, and is not silenced (any more)."""
        now_s = self._wall()
        for key, (message, since_s, known) in list(self._waiting.items()):
            if silenced_by(silences, message.rule, subject_of_message(message), now_s) is not None:
                continue
            if message.cause is None and not known and now_s - since_s < CAUSE_S:
                continue
            del self._waiting[key]
            self._told[key] = notice = _notice(message, since_s, None)
            self._tell(notice, known)

    def _tell(self, notice: Notice, known: bool) -> None:
        for output in self._outputs:
            output.tell(notice, known=known)


def _key(message: AlertMessage) -> Key:
    return message.system, message.rule, subject_of_message(message)


def _notice(message: AlertMessage, since_s: float, ended_s: float | None) -> Notice:
    state: Literal["firing", "resolved"] = "firing" if ended_s is None else "resolved"
    since = datetime.fromtimestamp(message.since / 1e6, UTC).isoformat(timespec="minutes")
    what = message.entity if message.node is None else f"{message.node} of {message.entity}"
    return Notice(
        system=message.system,
        rule=message.rule,
        entity=message.entity,
        kind=message.entity.partition(":")[0] if ":" in message.entity else "city",
        period=message.period or "",
        severity=message.severity,
        state=state,
        summary=f"{message.title or message.rule}: {what}, {said(message)}",
        description=f"{message.type} since {since} (event time), revision {message.revision}. {_why(message)}".strip(),
        since_s=since_s,
        ended_s=ended_s,
        node=message.node or "",
        runbook=message.links.get("runbook", ""),
        dashboard=message.links.get("dashboard", ""),
        value=message.value,
        bound=message.bound,
        revision=message.revision,
        cause=message.cause,
    )


def said(message: AlertMessage) -> str:
    """Value and bound for people."""
    if message.type in ("rank", "silence"):
        unit = "places" if message.type == "rank" else "days"
        return f"{message.value:.1f} {unit} (bound {message.bound:g})"
    return f"{message.value:+.1%} (bound {message.bound:+.1%})"


def _why(message: AlertMessage) -> str:
    cause = message.cause or {}
    parts = [
        f"{name}: " + ", ".join(f"{part['name']} {part['move']:+.4g}" for part in cause[name])
        for name in ("indicators", "cities")
        if cause.get(name)
    ]
    return "; ".join(parts)
