"""Grades of a definition, and its robustness (docs/formats.md section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from index.errors import DefinitionError
from index.fields import finite, name, number, text, whole
from index.tree import Tree

_GRADE_KEYS = ("code", "title", "at_least")
_ROBUSTNESS_KEYS = ("draws", "seed", "level")
_MAX_DRAWS = 100_000  # of 351 cities and 60 nodes: a minute or so


class Grade(Struct, frozen=True):
    """One class of values: `at_least` and above, below that of the grade before. None: all that remain."""

    code: str
    title: str
    at_least: float | None


class Robustness(Struct, frozen=True):
    """A resampling of the expert panels: how many draws, their seed, and the level of the intervals of ranks."""

    draws: int
    seed: int
    level: float


def read_grades(file: str, value: Any) -> tuple[Grade, ...]:
    """The `[[grade]]` tables, from the best down; DefinitionError names `file` and the key at fault."""
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise DefinitionError(file, "grade", "write each grade as a table [[grade]]")
    grades: list[Grade] = []
    for place, table in enumerate(value, start=1):
        key = f"grade {table['code']}" if isinstance(table.get("code"), str) else f"grade[{place}]"
        _known(file, key, table, _GRADE_KEYS)
        code = _field(file, key, table, "code", name)
        title = _field(file, key, table, "title", text)
        at_least = _field(file, key, table, "at_least", finite) if "at_least" in table else None
        if any(g.code == code for g in grades):
            raise DefinitionError(file, key, "stands twice; give each grade a code of its own")
        if at_least is None and place < len(value):
            raise DefinitionError(file, f"{key}.at_least", "is missing; only the last grade may have none")
        if grades and at_least is not None:
            above = grades[-1].at_least
            assert above is not None  # only the last has none
            if not at_least < above:
                raise DefinitionError(
                    file,
                    f"{key}.at_least",
                    f"{at_least!r} is not below {above!r} of the grade before; list the best first",
                )
        grades.append(Grade(code, title, at_least))
    return tuple(grades)


def read_robustness(file: str, value: Any, tree: Tree) -> Robustness | None:
    """The `[robustness]` table, None without one; DefinitionError names `file` and the key at fault."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise DefinitionError(file, "robustness", "write it as a table [robustness]")
    _known(file, "robustness", value, _ROBUSTNESS_KEYS)
    robustness = Robustness(
        draws=_field(file, "robustness", value, "draws", lambda v: whole(v, 1, _MAX_DRAWS)),
        seed=_field(file, "robustness", value, "seed", lambda v: whole(v, 0, 2**53)),
        level=_field(file, "robustness", value, "level", lambda v: number(v, 0, 1)),
    )
    if not 0 < robustness.level < 1:
        raise DefinitionError(file, "robustness.level", f"is {robustness.level!r}; it lies between 0 and 1, as in 0.9")
    if not any(node.panel for node in tree.nodes):
        raise DefinitionError(
            file, "robustness", "resamples expert panels, and no node has one; give a panel, or remove this table"
        )
    return robustness


def _known(file: str, key: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    unknown = table.keys() - set(keys)
    if unknown:
        raise DefinitionError(file, f"{key}.{min(unknown)}", f"unknown key; known are {', '.join(keys)}")


def _field(file: str, key: str, table: Mapping[str, Any], field: str, check: Any) -> Any:
    if field not in table:
        raise DefinitionError(file, f"{key}.{field}", "is missing; it must be given")
    try:
        return check(table[field])
    except ValueError as error:
        raise DefinitionError(file, f"{key}.{field}", str(error)) from error
