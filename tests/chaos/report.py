"""`python -m tests.chaos.report docs/soak docs/reliability.md`: from the records of all runs to one page.

The page is a function of the records (`*.jsonl.gz`, by name) and of the part by hand, `reliability-found.md` beside it.
A round's recovery counts for every kind of fault that was in it, so overlapping faults share theirs; `alone` are the
rounds with one kind only. Percentiles are nearest-rank: of 20 rounds p99 is the longest.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.record import End, Fault, Fuzz, Round, Run, Sample, read

FOUND, FUZZED = "reliability-found.md", "fuzz-"
SETUPS = {
    "a": "one broker, one Redis",
    "b": "three brokers, Redis with a replica and Sentinel",
    "c": "three brokers, a Redis Cluster of three masters with replicas",
}
SOAKS = ("soak", "short")


@dataclass
class Record:
    """One file. `end`: None where the run was cut off."""

    name: str
    run: Run
    faults: list[Fault] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    end: End | None = None

    @property
    def kills(self) -> int:
        """Processes killed with SIGKILL."""
        return sum(fault.kill for fault in self.faults)

    @property
    def events(self) -> int:
        """Sent in all."""
        return max((each.sent for each in self.rounds), default=0)

    def failures(self) -> list[str]:
        """What did not hold, with its round."""
        texts = [f"round {each.round}: {text}" for each in self.rounds for text in each.failures]
        if self.end is None:
            return [*texts, "the record ends in the middle"]
        if not texts and (self.end.failure or not self.end.ok):
            return [self.end.failure or "not ok"]
        return texts


def load(folder: Path) -> list[Record]:
    """All records of a folder but those of fuzzing, by name. Errors: ValueError, with the file and line."""
    return [_record(path) for path in sorted(folder.glob("*.jsonl.gz")) if not path.name.startswith(FUZZED)]


def load_fuzz(folder: Path) -> list[tuple[str, Fuzz]]:
    """All runs of fuzzing, with the names of their files. Errors: ValueError."""
    paths = sorted(folder.glob(f"{FUZZED}*.jsonl.gz"))
    return [(path.name, line) for path in paths for line in read(path) if isinstance(line, Fuzz)]


def _record(path: Path) -> Record:
    lines = read(path)
    first = next(lines, None)
    if not isinstance(first, Run):
        raise ValueError(f"{path.name}: does not begin with the run")
    record = Record(path.name, first)
    for line in lines:
        match line:
            case Fault():
                record.faults.append(line)
            case Round():
                record.rounds.append(line)
            case Sample():
                record.samples.append(line)
            case End():
                record.end = line
            case _:
                raise ValueError(f"{path.name}: a line of type {type(line).__name__} within a run")
    return record


def render(records: Sequence[Record], found: str, fuzz: Sequence[tuple[str, Fuzz]] = ()) -> str:
    """The page. `found`: the part by hand, without heading."""
    soaks = [each for each in records if each.run.what in SOAKS]
    parts = [
        HEAD,
        "## In all\n\n" + (_in_all(soaks) if soaks else "No run is recorded yet."),
        "## Faults by kind\n\n" + KINDS + _kinds(soaks) if soaks else "",
        "## Recovery by set-up\n\n" + RECOVERY + _by_setup(soaks) if soaks else "",
        "## Runs\n\n" + _runs(soaks) if soaks else "",
        "## Failures in these records\n\n" + _failures(records) if records else "",
        _pressure([each for each in records if each.run.what not in SOAKS]),
        _fuzz(fuzz),
        "## Found and mended\n\n" + found.strip(),
    ]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


HEAD = """\
# Reliability

What killing everything has shown. This page is made from the records in [soak/](soak) by `make reliability`; only the
last part is by hand ([reliability-found.md](reliability-found.md)). The schedule of a run is a function of its seed and
set-up; what meets what also hangs on the timing of the machine. It is repeated with

```sh
.venv/bin/python -m tests.chaos.soak --setup a --seed 1 --kills 150 --record docs/soak/a-1.jsonl.gz
```

What is checked after every round stands at the heads of [tests/chaos/checks.py](../tests/chaos/checks.py) and
[tests/chaos/leaks.py](../tests/chaos/leaks.py)."""

KINDS = """\
How often, by set-up; `kills`: processes ended by SIGKILL. Recovery, in seconds: from the end of the last fault of a
round (servers healed) until the log is in Redis, published and evaluated, with nobody's help. A round's recovery counts
for every kind in it; `alone`: rounds with one kind only.

"""

RECOVERY = "All rounds of a set-up, in seconds.\n\n"


def _in_all(records: Sequence[Record]) -> str:
    rounds = [each for record in records for each in record.rounds]
    checked = Counter(
        {what: sum(getattr(each, what) for each in rounds) for what in ("cells", "values", "growths", "ranks")}
    )
    rows = [
        ("runs, seeds", f"{len(records)}, {len({each.run.seed for each in records})}"),
        ("rounds, each with all checks", _n(len(rounds))),
        ("faults", _n(sum(len(each.faults) for each in records))),
        ("processes killed (SIGKILL)", _n(sum(each.kills for each in records))),
        ("events sent", _n(sum(each.events for each in records))),
        ("revisions published", _n(sum(max((r.revision for r in each.rounds), default=0) for each in records))),
        ("alert transitions compared", _n(sum(max((r.alerts for r in each.rounds), default=0) for each in records))),
        ("compared by verify", ", ".join(f"{_n(n)} {what}" for what, n in checked.items())),
        ("**differences**", f"**{_n(sum(each.differences for each in rounds))}**"),
        ("**leaks**", f"**{_n(sum(int(each.leaks.get('leaks', 0)) for each in rounds))}**"),
        ("rounds in which something did not hold", _n(sum(bool(each.failures) for each in rounds))),
        ("hours", f"{sum(each.end.seconds for each in records if each.end) / 3600:.1f}"),
    ]
    return _table(("", ""), rows)


def _kinds(records: Sequence[Record]) -> str:
    setups = sorted({each.run.setup for each in records})
    kinds = sorted({fault.kind for each in records for fault in each.faults})
    rows = []
    for kind in kinds:
        counts = [sum(f.kind == kind for r in records if r.run.setup == setup for f in r.faults) for setup in setups]
        kills = sum(fault.kill for each in records for fault in each.faults if fault.kind == kind)
        shared, alone = _recoveries(records, kind)
        rows.append((kind, *map(_n, counts), _n(kills), *_spread(shared), _n(len(alone)), _spread(alone)[0]))
    heads = ("kind", *setups, "kills", "p50", "p99", "max", "alone", "p50 alone")
    return _table(heads, rows)


def _recoveries(records: Sequence[Record], kind: str) -> tuple[list[float], list[float]]:
    """Of rounds with that kind in them; and of those with nothing else."""
    rounds = [each for record in records for each in record.rounds if kind in each.faults]
    return [each.recovered_s for each in rounds], [each.recovered_s for each in rounds if set(each.faults) == {kind}]


def _by_setup(records: Sequence[Record]) -> str:
    rows = []
    for setup in sorted({each.run.setup for each in records}):
        seconds = [each.recovered_s for record in records if record.run.setup == setup for each in record.rounds]
        rows.append((f"{setup}: {SETUPS.get(setup, '')}", _n(len(seconds)), *_spread(seconds)))
    return _table(("set-up", "rounds", "p50", "p99", "max"), rows)


def _runs(records: Sequence[Record]) -> str:
    rows = []
    for each in records:
        last = each.rounds[-1] if each.rounds else None
        rejected = sum(last.rejected.values()) if last else 0
        counts = f"{_n(last.accepted)} + {_n(last.duplicate)} + {_n(rejected)}" if last else ""
        rows.append(
            [
                f"[{each.name}](soak/{each.name})",
                each.run.setup,
                f"`{each.run.seed}`",
                each.run.commit + ("+" if each.run.dirty else ""),
                each.run.began[:16].replace("T", " "),
                *map(_n, (len(each.rounds), len(each.faults), each.kills, each.events)),
                counts,
                *map(_n, (last.revision if last else 0, sum(r.differences for r in each.rounds))),
                f"{each.end.seconds / 60:.0f}" if each.end else "",
                "no" if each.failures() else "yes",
            ]
        )
    heads = (
        "record", "set-up", "seed", "commit", "began (UTC)", "rounds", "faults", "kills", "events",
        "accepted + repeats + rejected", "revisions", "differences", "minutes", "all held",
    )  # fmt: skip
    return _table(heads, rows)


def _failures(records: Sequence[Record]) -> str:
    lines = [
        f"- [{each.name}](soak/{each.name}), set-up {each.run.setup}, seed `{each.run.seed}`: {_short(text)}"
        for each in records
        for text in each.failures()
    ]
    return "\n".join(lines) or "None."


def _pressure(records: Sequence[Record]) -> str:
    if not records:
        return ""
    out = ["## Back-pressure\n\n" + PRESSURE]
    for each in records:
        found = each.end.found if each.end else {}
        rows = [(name.replace("_", " "), _any(value)) for name, value in found.items()]
        where = f"**[{each.name}](soak/{each.name})**, {each.run.what}"
        out.append(f"{where}, commit {each.run.commit}, began {each.run.began[:16]}\n\n{_table(('', ''), rows)}")
    return "\n\n".join(out)


def _fuzz(runs: Sequence[tuple[str, Fuzz]]) -> str:
    if not runs:
        return ""
    rows = [
        (
            f"[{name}](soak/{name})", run.what, f"`{run.seed}`", run.commit + ("+" if run.dirty else ""),
            _n(run.messages or run.sequences) + (" messages" if run.messages else " sequences"), f"{run.seconds:,.0f}",
            "; ".join(map(_short, run.failures)) or "none",
        )
        for name, run in runs
    ]  # fmt: skip
    return "## Fuzzing\n\n" + _table(("record", "what", "seed", "commit", "how many", "seconds", "failures"), rows)


PRESSURE = """\
By `python -m tests.chaos.backpressure`; how it is done stands at its head. Memory: each worker's resident set, MiB."""


def _spread(seconds: Iterable[float]) -> tuple[str, str, str]:
    ordered = sorted(seconds)
    if not ordered:
        return "", "", ""
    at = [ordered[max(0, math.ceil(q * len(ordered)) - 1)] for q in (0.5, 0.99, 1.0)]
    return f"{at[0]:.1f}", f"{at[1]:.1f}", f"{at[2]:.1f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _n(number: int) -> str:
    return f"{number:,}"


def _any(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_any(each)}" for name, each in value.items())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}"


def _short(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "(no text)"
    return (first if len(first) <= 300 else first[:297] + "...").replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    """Write the page; 0, or 2 for a wrong call."""
    if len(arguments) != 2:
        print("python -m tests.chaos.report docs/soak docs/reliability.md", file=sys.stderr)
        return 2
    folder, page = map(Path, arguments)
    records, fuzz = load(folder), load_fuzz(folder)
    found = page.with_name(FOUND)
    by_hand = found.read_text(encoding="utf-8") if found.exists() else ""
    page.write_text(render(records, by_hand, fuzz), encoding="utf-8")
    print(f"{page}: {len(records)} runs of the trial, {len(fuzz)} of fuzzing")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
