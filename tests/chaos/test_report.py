"""The record is read back as it was written; the report is made of it, and the committed page is what it gives."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.chaos.record import End, Fault, Line, Round, Sample, Writer, begin, read
from tests.chaos.report import FOUND, load, load_fuzz, main, render
from workers.settings import REPOSITORY

DOCS = REPOSITORY / "docs"


def round_of(number: int, faults: list[str], recovered_s: float, **more: object) -> Round:
    said: dict[str, object] = {
        "round": number, "faults": faults, "recovered_s": recovered_s, "sent": 1000 * number, "accepted": 900 * number,
        "duplicate": 60 * number, "rejected": {"malformed": 40 * number}, "revision": 7 * number, "cells": 50,
        "leaks": {"leaks": 0},
    }  # fmt: skip
    return Round(**{**said, **more})  # type: ignore[arg-type]


def fault(number: int, kind: str, kill: int = 1) -> Fault:
    return Fault(round=number, kind=kind, target="ingest/0", at_s=1.0, ended_s=2.5, kill=kill, details={"by": "test"})


LINES: list[Line] = [
    fault(1, "kill ingest"),
    round_of(1, ["kill ingest"], 3.0),
    fault(2, "kill ingest"),
    fault(2, "redis slow", 0),
    round_of(2, ["kill ingest", "redis slow"], 9.0),
    End(kills=2, rounds=2, ok=True, failure=None, seconds=60.0),
]


def write(path: Path, lines: list[Line], setup: str = "a", **more: str) -> None:
    with Writer(path, begin("7", setup, **more)) as record:
        for line in lines:
            record.add(line)


def page(folder: Path) -> str:
    return render(load(folder), "By hand.")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a-7.jsonl.gz", LINES)
    first, *rest = read(tmp_path / "a-7.jsonl.gz")
    assert rest == LINES
    assert (first.seed, first.setup, first.what, len(first.commit)) == ("7", "a", "soak", 12)  # type: ignore[union-attr]


def test_a_run_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a-7.jsonl.gz"
    record = Writer(path, begin("7", "a"))
    for line in LINES[:3]:
        record.add(line)
    assert list(read(path))[1:] == LINES[:3]
    record.close()
    assert "the record ends in the middle" in page(tmp_path)


def test_a_line_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    write(path, [])
    path.write_bytes(path.read_bytes() + gzip.compress(b"{}\n"))
    with pytest.raises(ValueError, match=r"x\.jsonl\.gz, line 2"):
        load(tmp_path)


def test_a_page_of_two_runs(tmp_path: Path) -> None:
    write(tmp_path / "a-7.jsonl.gz", LINES)
    write(
        tmp_path / "b-1.jsonl.gz",
        [
            fault(1, "kill broker"),
            round_of(1, ["kill broker"], 4.0, differences=2, failures=["verify: ('cell', 'x', 1, 2)\nmore", "counts"]),
            End(kills=1, rounds=1, ok=False, failure="verify", seconds=30.0),
        ],
        setup="b",
    )
    text = page(tmp_path)
    assert "| kill ingest | 2 | 0 | 2 | 3.0 | 9.0 | 9.0 | 1 | 3.0 |" in text
    assert "| redis slow |" in text
    assert "| processes killed (SIGKILL) | 3 |" in text
    assert "| events sent | 3,000 |" in text
    assert "| **differences** | **2** |" in text
    assert "seed `7`: round 1: verify: ('cell', 'x', 1, 2)\n" in text
    assert "round 1: counts" in text
    assert text.endswith("## Found and mended\n\nBy hand.\n")


def test_a_back_pressure_run_stands_by_itself(tmp_path: Path) -> None:
    sample = Sample(at_s=1.0, phase="feed", sent=10, taken=5, lag=5, rss={"ingest": 100.0})
    end = End(kills=0, rounds=1, ok=True, failure=None, seconds=9.0, found={"greatest_lag": 12345, "rss": {"a": 1.5}})
    write(tmp_path / "p.jsonl.gz", [sample, end], what="backpressure")
    text = page(tmp_path)
    assert "No run is recorded yet." in text
    assert "| greatest lag | 12,345 |" in text
    assert "| rss | a 1.5 |" in text


def test_runs_of_fuzzing_are_a_table_of_their_own(tmp_path: Path) -> None:
    lines = [
        b'{"type":"fuzz","what":"decoder","seed":7,"commit":"abc","messages":1000000,"seconds":61.2,"failures":[],"x":1}',
        b'{"type":"fuzz","what":"ownership","seed":"8","commit":"abc","dirty":true,"sequences":5,"failures":["a | b"]}',
    ]
    (tmp_path / "fuzz-decoder.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    text = render(load(tmp_path), "", load_fuzz(tmp_path))
    assert "| decoder | `7` | abc | 1,000,000 messages | 61 | none |" in text
    assert "| ownership | `8` | abc+ | 5 sequences | 0 | a \\| b |" in text


def test_no_record_yet_and_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FOUND).write_text("By hand.")
    assert main([str(tmp_path / "soak"), str(tmp_path / "reliability.md")]) == 0
    assert (tmp_path / "reliability.md").read_text() == render([], "By hand.")
    assert main([]) == 2
    capsys.readouterr()


def test_the_committed_page_is_what_the_command_gives() -> None:
    found = (DOCS / FOUND).read_text(encoding="utf-8")
    made = render(load(DOCS / "soak"), found, load_fuzz(DOCS / "soak"))
    assert made == (DOCS / "reliability.md").read_text(encoding="utf-8"), "run `make reliability` and commit the page"
