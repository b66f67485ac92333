"""Other weights for nodes of a definition: an edit of its text that keeps comments and layout.

A node's weight stands in its parent's table, among those of its siblings. The nodes named get the weights given; their
siblings that are not named share what is left in the proportions that they had. An expert panel gives way to weights.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from fractions import Fraction
from typing import Any

import tomlkit
from tomlkit.items import Table

from index.tree import ROOT
from index.weights import LEAST_WEIGHT, SUM_TOLERANCE

_UNWEIGHTED = "sum"  # the aggregate that has neither weights nor panel


def reweighted(text: str, weights: Mapping[str, float]) -> str:
    """The definition `text` with `weights` (node name -> weight among its siblings, above 0 and up to 1) set.

    A name is a child as it is written in `children`: a node, a leaf, or an indicator of a node made by `industries`
    (then its weight in each of them). Siblings of one parent that are not named are scaled so that all sum to 1; each
    weight is rounded once. A panel is replaced by weights; where no panel is left, `[robustness]`, which draws from
    panels, goes as well. Nothing else changes, the version neither. Errors: ValueError naming the node and the reason.
    """
    document = _parsed(text)
    plain = tomllib.loads(text)
    tree = plain.get("tree")
    if not isinstance(tree, dict):
        raise ValueError("tree: a table is needed: [tree]")
    tables = {ROOT: tree} | {name: table for name, table in tree.items() if isinstance(table, dict)}
    chosen: dict[str, dict[str, float]] = {}
    for node, weight in weights.items():
        chosen.setdefault(_parent(node, tables), {})[node] = weight
    for parent, given in chosen.items():
        table = tables[parent]
        new = _siblings(parent, table, given)
        live = document["tree"] if parent == ROOT else document["tree"][parent]
        _write(live, table, new)
        table.pop("panel", None)
        table["weights"] = new
    if "robustness" in plain and not any("panel" in table for table in tables.values()):
        del plain["robustness"]
        document.remove("robustness")
    return _checked(document, plain)


def with_version(text: str, version: int) -> str:
    """The definition `text` with another version, and nothing else changed. Errors: ValueError where it has none."""
    document = _parsed(text)
    plain = tomllib.loads(text)
    if "version" not in plain:
        raise ValueError("version: is missing; it must be given")
    document["version"] = plain["version"] = version
    return _checked(document, plain)


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        tomllib.loads(text)
        return tomlkit.parse(text)
    except (tomllib.TOMLDecodeError, tomlkit.exceptions.TOMLKitError) as error:
        raise ValueError(f"the definition is not TOML: {error}") from None


def _checked(document: tomlkit.TOMLDocument, meant: Mapping[str, Any]) -> str:
    """The document's text, once it is certain that it says what is meant and no more."""
    text = tomlkit.dumps(document)
    if tomllib.loads(text) != meant:
        raise ValueError("this layout of the definition cannot be edited by weight; write the weights into its file")
    return text


def _parent(node: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The node in whose table the weight of `node` stands."""
    if node == ROOT:
        raise ValueError(f"{ROOT} is the root of the tree; it has no siblings and no weight")
    parents = [name for name, table in tables.items() if node in (table.get("children") or ())]
    if len(parents) > 1:
        raise ValueError(f"{node} is a child of {', '.join(parents)}: which weight is meant cannot be told")
    if parents:
        return parents[0]
    known = sorted({str(child) for table in tables.values() for child in table.get("children") or ()})
    raise ValueError(
        f"{node} is no child of any node, so it has no weight; those that may have one: {', '.join(known)}"
    )


def _siblings(parent: str, table: Mapping[str, Any], given: Mapping[str, float]) -> list[float]:
    """The weights of the children of `parent`, with those given."""
    names = ", ".join(given)
    if table.get("aggregate") == _UNWEIGHTED:
        raise ValueError(f"{names}: {parent} is the sum of its children; they have no weights")
    for node, weight in given.items():
        if not (math.isfinite(weight) and LEAST_WEIGHT <= weight <= 1):
            raise ValueError(f"{node}: {weight!r} is no weight; weights lie above 0 and up to 1")
    children = list(table["children"])
    old = dict(zip(children, _weights(parent, table), strict=True))
    # Exact until the last step, so that the sum misses 1 by no more than the rounding of its terms.
    left = 1 - sum((_decimal(weight) for weight in given.values()), Fraction(0))
    others = sum((weight for child, weight in old.items() if child not in given), Fraction(0))
    if not others and abs(left) > SUM_TOLERANCE:
        raise ValueError(f"{names}: the weights of all children of {parent} sum to {float(1 - left)!r}, not to 1")
    new = [float(given[child]) if child in given else float(old[child] * left / others) for child in children]
    small = [child for child, weight in zip(children, new, strict=True) if weight < LEAST_WEIGHT]
    if small:
        raise ValueError(
            f"{names}: {float(1 - left)!r} of 1 leaves {float(left)!r} for {', '.join(small)} below {parent}; "
            "give less, or name all of its children"
        )
    return new


def _weights(parent: str, table: Mapping[str, Any]) -> list[Fraction]:
    """The weights in force as they were written, or of a panel (docs/formats.md section 4), exactly."""
    try:
        if "panel" in table:
            panel: Sequence[Sequence[int]] = table["panel"]
            total = sum(map(sum, panel))
            return [Fraction(sum(column), total) for column in zip(*panel, strict=True)]
        return [_decimal(weight) for weight in table["weights"]]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise ValueError(f"{parent}: has neither sound weights nor a sound panel; check the definition") from None


def _decimal(weight: float) -> Fraction:
    """What was written: 0.1 as one tenth."""
    return Fraction(repr(weight))


def _write(live: MutableMapping[str, Any], table: Mapping[str, Any], new: list[float]) -> None:
    """Put `new` into a live table of the document: number by number, or in the place of its panel."""
    if "weights" in table:
        for number, weight in enumerate(new):
            if table["weights"][number] != weight:
                live["weights"][number] = weight
        return
    array = tomlkit.array()
    array.extend(new)
    panel = live["panel"]
    array.comment(panel.trivia.comment or "in place of the panel")
    array.trivia.comment_ws = panel.trivia.comment_ws or "  "
    if isinstance(live, Table):
        live.value._replace("panel", "weights", array)  # removing and adding would put it behind the comments below it
    else:  # a table whose parts stand apart has no such place
        live.pop("panel")
        live["weights"] = array
