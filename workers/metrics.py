"""What every worker's /metrics has, and the means to declare the rest (docs/metrics.md lists all of them).

Counters and histograms are moved once a batch, when the thing is done. Gauges are `Live`: their value is read from the
worker's own state when Prometheus asks, so they cost nothing between two scrapes and are never out of date. Scrapes run
in the worker's event loop, so what is read is of one moment.

Each worker has a registry of its own (`Health.registry`); prometheus-client's default registry, which holds `process_*`
and `python_*`, is served with it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from state.keys import SCHEMA

Sample = tuple[tuple[str, ...], float]  # values of the labels, value
Read = Callable[[], Iterable[Sample]]
Kind = type[GaugeMetricFamily] | type[CounterMetricFamily]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter and histogram, which nobody asks for

# Seconds: a flush and a transaction take milliseconds; a server that is away for long shows in the last ones.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# Events of one flush: a read takes at most 4,096 messages, of which each may be an array.
EVENTS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
OUTCOMES = ("accepted", "duplicate", "rejected")


class Live:
    """Gauges (and counters that the worker keeps anyway) that are read when they are scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families: list[tuple[Kind, str, str, Sequence[str], Read]] = []
        self._registry = registry

    def gauge(self, name: str, tells: str, labels: Sequence[str], read: Read) -> None:
        """Declare a gauge; `read` gives its samples, none where it is not known now. It must not wait or fail."""
        self._families.append((GaugeMetricFamily, name, tells, labels, read))

    def counter(self, name: str, tells: str, labels: Sequence[str], read: Read) -> None:
        """Declare a counter, likewise."""
        self._families.append((CounterMetricFamily, name, tells, labels, read))

    def register(self) -> None:
        """Serve what was declared."""
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """What was declared, without values; for the registry, which refuses names that are taken."""
        return [family(name, tells, labels=labels) for family, name, tells, labels, _ in self._families]

    def collect(self) -> Iterable[Metric]:
        """What was declared, as it is now; for the registry."""
        for kind, name, tells, labels, read in self._families:
            family = kind(name, tells, labels=labels)
            for values, value in read():
                family.add_metric(values, value)
            yield family


def build_labels(worker: str) -> tuple[str, ...]:
    """Values of `worker`, `version`, `python` and `schema`."""
    return worker, package_version(), platform.python_version(), str(SCHEMA)


def package_version() -> str:
    """Of Tidewatch as installed; `unknown` where it runs without being installed."""
    try:
        return version("tidewatch")
    except PackageNotFoundError:
        return "unknown"


def page(registry: CollectorRegistry) -> bytes:
    """What /metrics says, in Prometheus's text format."""
    return generate_latest(REGISTRY) + generate_latest(registry)
