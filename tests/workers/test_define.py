"""`tidewatch define` on real servers: one revision a switch, the old tables again, nothing from a broken one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from index.catalogue import Catalogue
from index.definition import Definition
from stream.control import change_control, read_system
from stream.errors import OvertakenError
from stream.messages import ControlActive
from stream.turn import Turn
from tests.waiting import eventually
from tests.workers.desk import STILL_S
from tests.workers.small import SYSTEM, TEXT, Small, written

pytestmark = pytest.mark.servers

BY = ("--author", "Ada", "--reason", "a test")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("define")) as running:
        yield running


@pytest.fixture
def first(small: Small) -> None:
    """Version 1 is in force; others may be known."""
    active = read_system(small.servers.kafka, SYSTEM).active
    if active is None or active.version != 1:
        small.object("define", "apply", SYSTEM, "--version", "1", *BY)


def highest(small: Small) -> int:
    return max(read_system(small.servers.kafka, SYSTEM).versions)


def next_text(small: Small, *changes: tuple[str, str]) -> str:
    """The small definition with changes, under the next version."""
    text = TEXT
    for old, new in (("version = 1\n", f"version = {highest(small) + 1}\n"), *changes):
        assert old in text
        text = text.replace(old, new, 1)
    return text


def all_of_it(small: Small) -> dict[str, object]:
    return {**small.tables(), **small.updates()}


def by_a_definition(small: Small) -> list[tuple[int, int]]:
    """(revision, definition) of the revisions that went over to another version."""
    return [(each.revision, each.definition) for each in small.revisions() if each.reason == "definition"]


def test_new_weights_and_the_old_version_again(small: Small, first: None):
    """One revision names each switch; the old version gives the old tables and values bit for bit."""
    before, switches, known = all_of_it(small), by_a_definition(small), highest(small)
    new = small.object("define", "apply", SYSTEM, "--weight", "trade=0.8", "-w", "dti.ecommerce=0.1", *BY)
    assert new["version"] == known + 1
    assert new["before"] == 1
    held = small.object("define", "show", SYSTEM)
    assert held["version"] == new["version"]
    assert held["active"]
    assert (held["author"], held["reason"]) == ("Ada", "a test")
    definition = Definition.parse(held["definition"], Catalogue.load(small.settings.catalogue))
    weights = {node.name: node.weights for node in definition.tree.nodes if node.weights}
    assert weights == {"index": (0.8, 0.2), "trade": (0.1, 0.9), "work": (0.9, 0.1)}
    assert "# a comment that stays" in held["definition"]
    other = all_of_it(small)
    assert other.keys() == before.keys()
    assert other != before
    again = small.object("define", "apply", SYSTEM, "--version", "1", *BY)
    eventually(lambda: all_of_it(small) == before, STILL_S, lambda: small.crew.log("index")[-3000:])
    assert by_a_definition(small) == [*switches, (new["revision"], new["version"]), (again["revision"], 1)]
    versions = {each["version"]: each for each in small.object("define", "history", SYSTEM)["versions"]}
    assert versions[new["version"]]["since"] == new["revision"]
    assert versions[1]["since"] == again["revision"]
    assert versions[1]["active"]
    assert small.run("verify", SYSTEM).returncode == 0
    assert not versions[new["version"]]["active"]


def test_the_last_panel_takes_the_robustness_with_it(small: Small, first: None):
    done = small.run("define", "apply", SYSTEM, "--weight", "dti.ecommerce=0.1", *BY)
    assert done.returncode == 0, done.stderr
    assert "robustness (no panel is left to draw from)" in done.stderr


def test_a_file_with_the_next_version(small: Small, first: None, tmp_path: Path):
    file = written(tmp_path, "new.toml", next_text(small, ('name = "cities"', 'name = "towns"')))
    result = small.object("define", "apply", file, *BY)
    assert small.revisions()[-1].definition == result["version"]
    eventually(lambda: f"{SYSTEM}/towns/2021Q1" in small.tables(), STILL_S)
    assert f"{SYSTEM}/cities/2021Q1" not in small.tables()
    # the same text again is the same version again
    small.object("define", "apply", SYSTEM, "--version", "1", *BY)
    known = highest(small)
    assert small.object("define", "apply", file, *BY)["version"] == result["version"]
    assert highest(small) == known


BROKEN = [
    (("weights = [0.9, 0.1]", "weights = [0.9, 0.2]"), "tree.work.weights"),
    (('base = "2021Q1"\n', ""), "base"),
    (("dti.procurement", "dti.nothing"), "tree.work.children"),
    (('"dti.collaboration"]', '"trade"]'), "tree"),
    (('rows = "province"', 'rows = "planet"'), "ranking"),
    (("[tree.work]", "[tree.work"), "not TOML"),
]


@pytest.mark.parametrize(("change", "key"), BROKEN, ids=[key for _, key in BROKEN])
def test_a_broken_one_is_refused_and_changes_nothing(small: Small, tmp_path: Path, change: tuple[str, str], key: str):
    control, last = read_system(small.servers.kafka, SYSTEM), small.revisions()[-1]
    file = written(tmp_path, "broken.toml", next_text(small, change))
    for command in (("define", "check", file), ("define", "check", "--live", file), ("define", "apply", file, *BY)):
        done = small.run(*command)
        assert done.returncode == 1, command
        said = done.stderr.replace("\n", " ")
        assert "broken.toml: " in said
        assert key in said
        assert "Traceback" not in said
    assert read_system(small.servers.kafka, SYSTEM) == control
    assert small.revisions()[-1] == last


def test_check_says_what_a_sound_one_holds(small: Small, tmp_path: Path):
    done = small.run("define", "check", written(tmp_path, "a.toml", TEXT))
    assert done.returncode == 0, done.stderr
    assert "small version 1: 4 leaves, 7 nodes, 3 rankings" in done.stdout


REFUSED = [
    (("{file}",), "write version = "),  # a known version with another text
    (("small", "--version", "999"), "version 999 of small is not known"),
    (("nobody", "--version", "1"), "not known"),
    (("small", "--weight", "nowhere=0.1"), "nowhere is no child of any node"),
    (("small", "--weight", "trade=1.0"), "for work"),
    (("small", "--weight", "trade"), "NODE=NUMBER"),
    (("small", "--weight", "trade=0.1", "--version", "1"), "not both"),
    (("no-such-file.toml",), "is no file"),
]


@pytest.mark.parametrize(("what", "said"), REFUSED, ids=[" ".join(what) for what, _ in REFUSED])
def test_what_cannot_be_applied_is_said(small: Small, tmp_path: Path, what: tuple[str, ...], said: str):
    control = read_system(small.servers.kafka, SYSTEM)
    file = written(tmp_path, "other.toml", TEXT.replace("a small one", "another"))
    done = small.run("define", "apply", *(word.format(file=file) for word in what), *BY)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert read_system(small.servers.kafka, SYSTEM) == control


def test_of_two_at_once_one_decides_and_the_other_is_told(small: Small, first: None):
    """Each would write the next version: at most one of them does, and who says that it is in force is right."""
    known = read_system(small.servers.kafka, SYSTEM).versions.keys()
    commands = [("define", "apply", SYSTEM, "--weight", f"trade=0.{i}", "-a", f"A{i}", "-r", "r") for i in (3, 4, 6)]
    waiting = [small.started(*command, "--no-wait") for command in commands]
    done = [small.ended(each) for each in waiting]
    control = read_system(small.servers.kafka, SYSTEM)
    new = {control.versions[number].author for number in control.versions.keys() - known}
    won = {f"A{i}" for i, each in zip((3, 4, 6), done, strict=True) if each.returncode == 0}
    assert won == new, [each.stderr for each in done]
    assert control.active is not None
    assert control.active.author in won
    for each in done:
        if each.returncode:
            assert "somebody else wrote at the same time" in each.stderr.replace("\n", " ")


def test_who_took_the_turn_later_decides(small: Small, first: None):
    """The earlier one, slow between look and write, is refused; and nothing of it is seen."""
    kafka = small.servers.kafka

    def decide(known: object) -> tuple[None, ControlActive]:
        Turn(kafka, f"{SYSTEM}/control")  # somebody else begins
        return None, ControlActive(system=SYSTEM, version=1, author="slow", reason="r", at="now")

    before = read_system(kafka, SYSTEM)
    with pytest.raises(OvertakenError):
        change_control(kafka, SYSTEM, decide)
    assert read_system(kafka, SYSTEM) == before


def test_nobody_runs_it(small: Small, first: None):
    """What is written stands; that no revision follows is said, and the next worker goes over to it."""
    small.crew.end("index")
    try:
        done = small.run("define", "apply", SYSTEM, "--weight", "work=0.25", "--timeout", "1", *BY)
        assert done.returncode == 1
        assert "is in force, but no revision went over to it" in done.stderr.replace("\n", " ")
    finally:
        small.start_index()
    known = highest(small)
    eventually(lambda: by_a_definition(small)[-1][1] == known, STILL_S, lambda: small.crew.log("index")[-3000:])
