"""The alert worker's metrics (docs/metrics.md). Counters move when the transaction that they are about is committed."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from index.rules.rule import Rule
from stream.messages import AlertMessage, AlertSilence
from workers.alert_system import AlertSystem, subject_of_message
from workers.alert_tell import silenced_by
from workers.metrics import SECONDS, Live, Sample

TOPIC, SENT, FAILED = "topic", "sent", "failed"


class AlertMetrics:
    """Told by the runners what they did; reads how their systems stand."""

    def __init__(
        self,
        registry: CollectorRegistry,
        rules: tuple[Rule, ...],
        systems: Callable[[], Iterable[AlertSystem]],
        silences: Callable[[], dict[str, AlertSilence]],
        lag_s: Callable[[], Iterable[tuple[str, float]]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`systems`: those that this worker evaluates; `lag_s`: of each, how old what is not evaluated is."""
        name = "tidewatch_alerts_"
        self._rules, self._systems, self._silences, self._wall = rules, systems, silences, wall
        self._severity = {rule.name: rule.severity for rule in rules}
        self.progress_s = 0.0
        self._transitions = Counter(
            f"{name}transitions_total", "Alerts by new state", ["rule", "to"], registry=registry
        )
        self._notifications = Counter(
            f"{name}notifications_total", "Notifications", ["output", "outcome"], registry=registry
        )
        self._took = Histogram(
            f"{name}notification_seconds", "One notification", ["output"], registry=registry, buckets=SECONDS
        )
        self._evaluation = Histogram(
            f"{name}evaluation_seconds", "All rules on one revision", registry=registry, buckets=SECONDS
        )
        self._delay = Histogram(
            f"{name}delay_seconds", "From a revision's commit to its alert", registry=registry, buckets=SECONDS
        )
        live = Live(registry)
        live.gauge(f"{name}firing", "Alerts that fire", ("rule", "severity"), lambda: self._counted("firing"))
        live.gauge(f"{name}held", "Conditions that something explains", ("rule",), lambda: self._counted("held"))
        live.gauge(f"{name}silenced", "Firing, but silenced", ("rule",), lambda: self._counted("silenced"))
        live.gauge(f"{name}rules", "Rules in force", (), lambda: [((), float(len(rules)))])
        live.gauge(
            f"{name}revision", "Last revision evaluated", ("system",),
            lambda: [((each.system,), float(each.state.revision)) for each in systems()],
        )  # fmt: skip
        live.gauge(
            f"{name}lag_seconds", "Age of what is not evaluated", ("system",),
            lambda: [((system,), s) for system, s in lag_s()],
        )  # fmt: skip
        live.gauge(
            f"{name}progress_timestamp_seconds", "When the worker last got on", (),
            lambda: [((), self.progress_s)] if self.progress_s else [],
        )  # fmt: skip
        live.register()

    def _counted(self, which: str) -> list[Sample]:
        silences, now_s = self._silences(), self._wall()
        found: Tally[str] = Tally({rule.name: 0 for rule in self._rules})
        for system in self._systems():
            for rule, subject in system.state.alerts:
                state = system.state.alerts[rule, subject].state
                if state == "firing" and silenced_by(silences, rule, subject, now_s) is not None:
                    state = "silenced"
                found[rule] += state == which
        if which == "firing":
            return [((rule, self._severity.get(rule, "warn")), float(n)) for rule, n in found.items()]
        return [((rule,), float(n)) for rule, n in found.items()]

    def evaluated(self, seconds: float) -> None:
        """All rules have been evaluated on a revision."""
        self._evaluation.observe(seconds)

    def committed(self, messages: Iterable[tuple[AlertMessage, int]], seconds: float) -> None:
        """Alerts stand on the topic; each with the Kafka time (ms) of its revision. The transaction took `seconds`."""
        for message, written_ms in messages:
            self._notifications.labels(TOPIC, SENT).inc()
            self._took.labels(TOPIC).observe(seconds)
            if message.state in ("firing", "resolved") and not message.held_by:
                self._transitions.labels(message.rule, message.state).inc()
            self._delay.observe(max(0.0, self._wall() - written_ms / 1000))

    def notified(self, output: str, outcome: str, seconds: float) -> None:
        """A call of an output has ended; `outcome`: sent or failed."""
        self._notifications.labels(output, outcome).inc()
        self._took.labels(output).observe(seconds)


__all__ = ["FAILED", "SENT", "TOPIC", "AlertMetrics", "subject_of_message"]
