"""Mutated messages through the decoder and the oracle; `make fuzz` runs a million (docs/reliability.md)."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from stream.reasons import Reason
from stream.validate import Validator
from tests.fuzz.both_sides import split
from tests.fuzz.chunks import made_chunk, restored, stored, tried
from tests.fuzz.decoder import fuzz
from tests.fuzz.shrink import fewer, smaller

MESSAGES = 20_000


def test_mutated_messages(tmp_path: Path) -> None:
    """A fresh seed each time; what fails is kept small in the folder that is named."""
    seed = str(Random().randrange(2**32))
    record = fuzz(seed, MESSAGES, tmp_path, alone_every=5, say=print)
    assert record["failures"] == [], f"seed {seed}"
    assert record["messages"] == MESSAGES
    # else the run would be hollow
    assert record["outcomes"].keys() == {"accepted", "duplicate", *(f"rejected:{reason.code}" for reason in Reason)}
    assert record["outcomes"]["accepted"] > MESSAGES / 3


def test_a_defect_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trial is worth: one check that is off by one in the product is met within a few chunks."""
    right = Validator._scale

    def wrong(self: Validator, value, decimals, fail):  # type: ignore[no-untyped-def]
        scaled = right(self, value, decimals, fail)
        return scaled + (scaled % 1000 == 77)

    monkeypatch.setattr(Validator, "_scale", wrong)
    for number in range(100):
        name = f"planted/{number}"
        catalogue, logs = made_chunk(name, 400)
        outcome = tried(catalogue, logs, name, alone=False)
        if outcome.found:
            break
    assert any("rows" in text for text in outcome.found)
    small = smaller(logs, lambda some: bool(tried(catalogue, some, name, alone=False).found), budget_s=10)
    [record] = [record for log in small for record in log]
    assert len(record.value or b"") < 300


def test_a_case_is_kept_as_it_was() -> None:
    catalogue, logs = made_chunk("kept", 60)
    assert restored(stored(catalogue, logs)) == (catalogue, logs)
    assert made_chunk("kept", 60) == (catalogue, logs), "the seed says it all"


def test_fewer() -> None:
    assert fewer(range(1000), lambda some: {17, 600} <= set(some)) == [17, 600]
    assert fewer([1], lambda some: True) == [1]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"[]", []),
        (b"[ ]", []),
        (b"[1]", [b"1"]),
        (b'[{"a":[1,2]} , "]\\\\\\",",[[]]]', [b'{"a":[1,2]}', b'"]\\\\\\","', b"[[]]"]),
        (b'[\n"" ,{}]', [b'""', b"{}"]),
    ],
)
def test_split(text: bytes, parts: list[bytes]) -> None:
    assert split(text) == parts
