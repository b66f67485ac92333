"""What stands in Kafka or Redis cannot make a worker read files, run code, stand still, or write on a terminal."""

from __future__ import annotations

import ast
import io
import time
from pathlib import Path

import msgspec
import pytest
import structlog
from rich.console import Console

from index.catalogue import Catalogue, matches
from index.definition import MAX_TEXT, Definition
from index.errors import DefinitionError
from index.localtime import LocalCalendar
from tests.workers.small import TEXT
from workers.logs import configure
from workers.masked import printable
from workers.output import people_table
from workers.settings import REPOSITORY
from workers.tally import OTHER, SourceLabels

SLOW_S = 20.0  # far above what anything here takes, on a loaded machine too
PRODUCT = ("index", "state", "stream", "workers")
# Code from data, or objects from bytes.
FORBIDDEN = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "multiprocessing",
    "yaml",
    "code",
}
CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(REPOSITORY / "systems" / "catalogue")


def deep(levels: int) -> str:
    nodes = "".join(f'[tree.n{i}]\nchildren = ["n{i + 1}"]\nweights = [1.0]\n' for i in range(levels))
    last = f'[tree.n{levels}]\nchildren = ["dti.ecommerce"]\nweights = [1.0]\n'
    return TEXT.partition("[tree]")[0] + f'[tree]\nchildren = ["n0"]\nweights = [1.0]\n{nodes}{last}'


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("title =", "x = " + "[" * 100_000 + "]" * 100_000 + "\ntitle ="),
        TEXT.replace("title =", "x = " + "{a=" * 5_000 + "1" + "}" * 5_000 + "\ntitle ="),
        TEXT.replace("[tree]", "[a" + ".b" * 20_000 + "]\n[tree]", 1),
        TEXT.replace("version = 1", "version = " + "9" * 5_000),
        TEXT.replace("version = 1", "version = 0x" + "f" * 100_000),
        TEXT.replace("draws = 10", "draws = 1000000000000"),
        TEXT.replace("title =", "scale = 1e400\ntitle ="),
        TEXT.replace("[0.5, 0.5]", "[nan, 1.0]"),
        TEXT.replace('"small"', '"../../etc/passwd"'),
        TEXT.replace('"small"', '"small/control"'),
        TEXT.replace('name = "cities"', 'name = "x\\n[red]"'),
        TEXT.replace("a small one", "x" * (MAX_TEXT + 1)),
        deep(3_000),
        "\x00",
    ],
    ids=range(14),
)
def test_a_hostile_definition_is_refused_and_nothing_else(text: str, catalogue: Catalogue) -> None:
    began = time.monotonic()
    with pytest.raises(DefinitionError):
        Definition.parse(text, catalogue, "control small/1")
    assert time.monotonic() - began < SLOW_S


@pytest.mark.parametrize(
    "zone", ["../../../etc/passwd", "/etc/passwd", "America", "zone.tab", "x" * 5_000, "a\0b", "", "."]
)
def test_a_time_zone_names_no_file(zone: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        LocalCalendar(zone, 2020, 2021)
    assert "root:" not in str(refusal.value)


def test_a_pattern_of_many_stars_costs_nothing(catalogue: Catalogue) -> None:
    """As a regular expression this one takes minutes: eight stars, sixty-four letters."""
    pattern, source = "*" + "a*" * 30 + "b", "a" * 64
    line = msgspec.structs.replace(catalogue.sources[0], source=pattern)
    hostile = msgspec.structs.replace(catalogue, sources=(line,))
    began = time.monotonic()
    assert not matches(pattern, source)
    assert SourceLabels(hostile).label(source) == OTHER
    assert time.monotonic() - began < SLOW_S


HOSTILE = "[/red][link=file:///etc/passwd]x\x1b]0;title\x07\x1b[2J\r\x9b31m\u202egnp"


def test_a_terminal_is_told_nothing_by_an_event() -> None:
    out = io.StringIO()
    table = people_table("detail")
    table.add_row(HOSTILE)
    Console(file=out, force_terminal=False, width=200).print(table)
    assert printable(HOSTILE) in out.getvalue()
    for character in "\x1b\x07\r\x9b\u202e":
        assert character not in out.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_line_is_one_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form)
    structlog.get_logger("x").warning("letter", source=f"{HOSTILE}\n2026-01-01 [info] all is well", other="\x1b[2J")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said


def modules() -> list[tuple[Path, ast.Module]]:
    paths = [path for folder in PRODUCT for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_no_code_and_no_objects_are_made_of_data() -> None:
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [each.name.partition(".")[0] for each in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [(node.module or "").partition(".")[0]]
            found += [f"{path}: import {name}" for name in names if name in FORBIDDEN]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                found.append(f"{path}:{node.lineno}: {node.func.id}()")
            if isinstance(node, ast.keyword) and node.arg == "shell":
                found.append(f"{path}:{node.value.lineno}: shell=")
            if isinstance(node, ast.keyword) and node.arg in ("serializer", "key_serializer", "value_serializer"):
                raw = isinstance(node.value, ast.Constant) and node.value.value == "raw"
                found += [] if raw else [f"{path}: a Faust codec other than raw"]
    assert not found, found
