"""From readings to alerts: one state machine per rule and subject, in event time.

    nothing --condition holds--> pending --for `for`--> firing, or held where something explains it
    pending --condition holds no more--> nothing
    held    --explained no more, condition still holds--> firing
    firing, held --value beyond the clear bound--> resolved

Between the fire and the clear bound nothing changes, so noise about a bound does not flap. A subject without a reading
(not known now) stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from index.rules.alert import FIRING, HELD, RESOLVED, Alert, parts_of
from index.rules.measures import Reading
from index.rules.rule import Rule
from index.rules.state import State
from index.rules.world import World

Explain = Callable[[str, Reading, int], str]  # subject, reading, how long it could have fired (us) -> what explains it


def judge(
    world: World, rule: Rule, state: State, readings: Mapping[str, Reading], at_us: int, revision: int, explain: Explain
) -> list[Alert]:
    """Move the rule's subjects on; the alerts that changed their state, in the order of the readings."""
    out: list[Alert] = []
    for subject, reading in readings.items():
        key = rule.name, subject
        alert = state.alerts.get(key)
        if alert is not None and rule.clears(reading.value):
            del state.alerts[key]
            why = alert.held_by  # one that was only held says so to its end
            out.append(_made(world, rule, subject, reading, RESOLVED, alert.since_us, at_us, revision, why, alert))
            continue
        if alert is not None and alert.state == FIRING:
            continue
        if not holds(rule, reading):
            if alert is None and state.pending.pop(key, None) is not None:
                state.touched.add("pending")
            continue
        since_us = alert.since_us if alert is not None else state.pending.get(key)
        if since_us is None:
            since_us = state.pending[key] = at_us
            state.touched.add("pending")
        if at_us - since_us < rule.for_us:
            continue
        why = explain(subject, reading, at_us - since_us - rule.for_us)
        if why and alert is not None:
            continue
        made = _made(world, rule, subject, reading, HELD if why else FIRING, since_us, at_us, revision, why, None)
        state.alerts[key] = made
        if state.pending.pop(key, None) is not None:
            state.touched.add("pending")
        out.append(made)
    return out


def holds(rule: Rule, reading: Reading) -> bool:
    """Whether the condition of the rule holds."""
    if reading.bound is not None and not rule.falling:
        return reading.value >= reading.bound
    return reading.significant and rule.fires(reading.value)


def _made(
    world: World, rule: Rule, subject: str, reading: Reading, state: str, since_us: int, at_us: int, revision: int,
    why: str, before: Alert | None,
) -> Alert:  # fmt: skip
    entity, node = parts_of(subject)
    return Alert(
        system=world.system,
        rule=rule.name,
        type=rule.type,
        severity=rule.severity,
        entity=entity,
        node=node,
        period=reading.period if before is None else before.period,
        state=state,
        value=reading.value,
        bound=rule.fire if reading.bound is None else reading.bound,
        since_us=since_us,
        at_us=at_us,
        revision=revision,
        held_by=why,
    )
