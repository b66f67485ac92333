"""What `tidewatch demo --once` says in the end: all systems, everything sent accounted for, no difference."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from workers.feed import Sent
from workers.prepare import definition_files
from workers.settings import REPOSITORY
from workers.trial import _summary, systems_of
from workers.verify import Report

COUNTS = {"accepted": 90, "duplicate": 7, "rejected:malformed": 3}


def report(system: str, found: int = 0) -> Report:
    made = Report(system, counts=dict(COUNTS))
    made.compared.update({"cells": 50, "values": 20})
    made.found = Counter({"value": found}) if found else Counter()
    return made


def summary(reports: list[Report], revisions: dict[str, int], sent: int = 100) -> dict[str, Any]:
    seconds = {"processed": 1.0, "all": 2.0}
    return _summary("dti-2022", 1, Sent(events=sent), revisions, reports, 351, seconds)


def test_all_systems_of_the_folder_are_named() -> None:
    found = systems_of(REPOSITORY / "systems")
    assert {"dti-2022", "dti-2023", "dci-2020", "dei-2023", "cluster-2023", "future-2023"} <= set(found)
    assert len(found) == len(set(found)) == len(definition_files(REPOSITORY / "systems"))


def test_a_file_that_names_no_system_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('system = "a"\n')
    assert systems_of(tmp_path) == ["a"]
    (tmp_path / "other.toml").write_text("version = 1\n")
    with pytest.raises(ValueError, match=r"other\.toml: no `system`"):
        systems_of(tmp_path)


def test_cells_are_shared_and_values_add_up() -> None:
    made = summary([report("a"), report("b")], {"a": 3, "b": 4})
    assert made["ok"]
    assert made["balanced"]
    assert (made["verify"]["cells"], made["verify"]["values"], made["verify"]["differences"]) == (50, 40, 0)
    assert made["verify"]["systems"]["b"]["ok"]


def test_one_difference_in_one_system_fails_the_whole() -> None:
    made = summary([report("a"), report("b", found=1)], {"a": 3, "b": 4})
    assert not made["ok"]
    assert made["verify"]["differences"] == made["verify"]["systems"]["b"]["differences"] == 1
    assert made["verify"]["systems"]["a"]["ok"]


@pytest.mark.parametrize("sent", [99, 101])
def test_what_was_sent_must_be_accounted_for(sent: int) -> None:
    made = summary([report("a")], {"a": 3}, sent)
    assert not made["balanced"]
    assert not made["ok"]


def test_a_system_that_was_not_verified_fails_the_whole() -> None:
    assert not summary([report("a")], {"a": 3, "b": 4})["ok"]
