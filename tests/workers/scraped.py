"""/metrics as a test reads it, and what docs/metrics.md says of it."""

from __future__ import annotations

import re
import urllib.request
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from workers.settings import REPOSITORY

PARTS = ("_bucket", "_count", "_sum")  # of a histogram
_ROW = re.compile(r"\| `(tidewatch_\w+)` \| (\w+) \|([^|]*)\|")


class Described(NamedTuple):
    """A metric's type and the names of its labels."""

    type: str
    labels: frozenset[str]


def documented() -> dict[str, dict[str, Described]]:
    """Section of docs/metrics.md -> name -> metric."""
    found: dict[str, dict[str, Described]] = {}
    section = ""
    for line in (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif row := _ROW.match(line):
            labels = frozenset(re.findall(r"`(\w+)`", row[3]))
            assert row[1] not in found.setdefault(section, {}), f"{row[1]} stands twice"
            found[section][row[1]] = Described(row[2], labels)
    return found


class Scrape:
    """One answer of a worker's /metrics."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = {}
        self.samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(text):
            if not family.name.startswith("tidewatch_"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self.types[name] = family.type
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    self.samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value

    @classmethod
    def of(cls, port: int) -> Scrape:
        """Ask a worker."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return cls(answer.read().decode())

    def value(self, name: str, **labels: str) -> float | None:
        """One sample; None where there is none."""
        return self.samples.get(name, {}).get(frozenset(labels.items()))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by one label."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            key = dict(labels)[label]
            sums[key] = sums.get(key, 0) + value
        return sums

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(self.samples.get(name, {}).values())

    def labels(self, name: str) -> set[frozenset[str]]:
        """The sets of names of labels that its samples have."""
        names = [name] if self.types[name] != "histogram" else [name + part for part in PARTS]
        return {
            frozenset(label for label, _ in labels if label != "le")
            for n in names
            for labels in self.samples.get(n, {})
        }
