"""Reads the `[tree]` of a definition (docs/formats.md section 7).

`[tree]` itself is the root; every other inner node has a table `[tree.NAME]`; a name without a table is a leaf. A node
with `industries = SET` stands for one child per industry of the set, each with the same leaves and weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from index.catalogue import ALL, Catalogue
from index.errors import DefinitionError
from index.fields import one_of
from index.tree import AGGREGATES, ARITHMETIC, ROOT, SUM, Node, Source, Tree
from index.weights import given_weights, panel_weights

_KEYS = ("children", "weights", "panel", "aggregate", "industries", "only")
_KNOWN = "a node has children, weights or panel, aggregate, or industries with only"


class _Family(NamedTuple):
    """What the table of one inner node says. `industries`: the codes of its set that it stands for, or None."""

    children: list[str]
    weights: tuple[float, ...]
    panel: tuple[tuple[int, ...], ...]
    aggregate: str
    industries: list[str] | None


def read_tree(file: str, table: Mapping[str, Any], catalogue: Catalogue) -> Tree:
    """The tree of a definition's `[tree]` table; DefinitionError names `file` and the key at fault."""
    return _Reader(file, table, catalogue).tree()


class _Reader:
    """One reading: the tables of inner nodes by name, and the nodes made so far."""

    def __init__(self, file: str, table: Mapping[str, Any], catalogue: Catalogue) -> None:
        self.file = file
        self.catalogue = catalogue
        self.inner: dict[str, Mapping[str, Any]] = {ROOT: {k: v for k, v in table.items() if k in _KEYS}}
        for name, value in table.items():
            if name in _KEYS:
                continue
            if not isinstance(value, Mapping):
                raise DefinitionError(file, f"tree.{name}", f"unknown key; {_KNOWN}")
            if name == ROOT:
                raise DefinitionError(
                    file, f"tree.{name}", "this name is the root's; its children stand in [tree] itself"
                )
            self.inner[name] = value
        self.nodes: list[Node] = []
        self.sources: list[Source] = []
        self.industry_nodes: list[int] = []
        self.seen: set[str] = set()

    def tree(self) -> Tree:
        """From the root down."""
        self.add(ROOT, ())
        unused = [name for name in self.inner if name not in self.seen]
        if unused:
            raise DefinitionError(
                self.file, _key(unused[0]), "is below no node; add it to the children of one, or remove it"
            )
        return Tree(tuple(self.nodes), tuple(self.sources), tuple(self.industry_nodes))

    def add(self, name: str, above: tuple[str, ...]) -> int:
        """The node of that name and all below it; returns its number."""
        key = _key(above[-1]) + ".children" if above else "tree"
        if name in above:
            path = " > ".join((*above, name))
            raise DefinitionError(self.file, key, f"{path} is a cycle; a node cannot lie below itself")
        if name not in self.inner:
            return self.add_leaf(name, self.source(name, key), key)
        number = self.open(name, key)
        if above and name in self.catalogue.indicator_index:
            raise DefinitionError(self.file, _key(name), "is the code of an indicator; name this node otherwise")
        family = self.family(name)
        if family.industries is None:
            children = tuple(self.add(child, (*above, name)) for child in family.children)
            self.nodes[number] = Node(name, children, family.weights, aggregate=family.aggregate, panel=family.panel)
        else:
            children = tuple(self.add_industry(industry, family, _key(name)) for industry in family.industries)
            self.nodes[number] = Node(name, children, (1 / len(children),) * len(children), aggregate=SUM)
        return number

    def add_industry(self, industry: str, family: _Family, key: str) -> int:
        """The child of a node with `industries` that stands for one of them."""
        if industry in self.inner:
            raise DefinitionError(
                self.file, _key(industry), f"is also an industry of {key}.industries; name this node otherwise"
            )
        number = self.open(industry, f"{key}.industries")
        self.industry_nodes.append(number)
        leaves = tuple(
            self.add_leaf(f"{child}/{industry}", Source(child, industry, whole=True), f"{key}.children")
            for child in family.children
        )
        self.nodes[number] = Node(industry, leaves, family.weights, aggregate=ARITHMETIC, panel=family.panel)
        return number

    def add_leaf(self, name: str, source: Source, key: str) -> int:
        """A leaf; returns the number of its node."""
        number = self.open(name, key)
        self.nodes[number] = Node(name, leaf=len(self.sources))
        self.sources.append(source)
        return number

    def open(self, name: str, key: str) -> int:
        """The number of a new node, whose content follows."""
        if name in self.seen:
            raise DefinitionError(
                self.file, key, f"{name} already stands elsewhere in the tree; each node has one place"
            )
        self.seen.add(name)
        self.nodes.append(Node(name))
        return len(self.nodes) - 1

    def source(self, name: str, key: str) -> Source:
        """What a leaf of that name counts."""
        code, slash, industry = name.partition("/")
        number = self.catalogue.indicator_index.get(code)
        if number is None:
            table = "" if slash else f"a table [tree.{name}] nor "
            raise DefinitionError(self.file, key, f"{name!r} is neither {table}an indicator of the catalogue")
        if not slash:
            return Source(code)
        known = self.catalogue.industry_codes[number]
        if known == [ALL]:
            raise DefinitionError(self.file, key, f"{name!r}: {code} has no industries; write {code!r}")
        if industry not in known:
            raise DefinitionError(
                self.file, key, f"{name!r}: {industry!r} is no industry of {code}; known are {', '.join(known)}"
            )
        return Source(code, industry)

    def family(self, name: str) -> _Family:
        """Children, weights and the rest of one inner node."""
        table, key = self.inner[name], _key(name)
        unknown = table.keys() - set(_KEYS)
        if unknown:
            raise DefinitionError(self.file, f"{key}.{min(unknown)}", f"unknown key; {_KNOWN}")
        children = table.get("children")
        if not isinstance(children, list) or not children or not all(isinstance(c, str) for c in children):
            raise DefinitionError(self.file, f"{key}.children", "a list of names is needed, with at least one")
        industries = None
        if "industries" in table:
            if "aggregate" in table:
                raise DefinitionError(
                    self.file,
                    f"{key}.aggregate",
                    "a node with industries is their sum, and each is arithmetic: remove it",
                )
            industries = self.industries(key, table, children)
        elif "only" in table:
            raise DefinitionError(self.file, f"{key}.only", "chooses among industries; give `industries`, or remove it")
        try:
            aggregate = one_of(table.get("aggregate", ARITHMETIC), AGGREGATES)
        except ValueError as error:
            raise DefinitionError(self.file, f"{key}.aggregate", str(error)) from error
        if aggregate == SUM:
            for which in ("weights", "panel"):
                if which in table:
                    raise DefinitionError(
                        self.file,
                        f"{key}.{which}",
                        "a sum has no weights; remove them, or choose aggregate = 'arithmetic'",
                    )
            return _Family(children, (1 / len(children),) * len(children), (), SUM, None)
        weights, panel = self.weights(key, table, len(children))
        return _Family(children, weights, panel, aggregate, industries)

    def industries(self, key: str, table: Mapping[str, Any], children: list[str]) -> list[str]:
        """Codes of the industries of a node, in catalogue order, after a look at its children."""
        which = table["industries"]
        codes = [i.code for i in self.catalogue.industries if i.set == which]
        if not codes:
            known = ", ".join(dict.fromkeys(i.set for i in self.catalogue.industries)) or "none"
            raise DefinitionError(
                self.file, f"{key}.industries", f"{which!r} is no industry set of the catalogue; known are {known}"
            )
        for child in children:
            number = self.catalogue.indicator_index.get(child)
            if number is None or self.catalogue.indicators[number].industries != which:
                raise DefinitionError(
                    self.file, f"{key}.children", f"{child!r} is no indicator with the industries {which!r}"
                )
        if "only" not in table:
            return codes
        only = table["only"]
        if not isinstance(only, list) or not only or len({*map(repr, only)}) != len(only):
            raise DefinitionError(self.file, f"{key}.only", "a list of industries is needed, each once")
        for code in only:
            if code not in codes:
                raise DefinitionError(
                    self.file, f"{key}.only", f"{code!r} is no industry of {which!r}; known are {', '.join(codes)}"
                )
        return [code for code in codes if code in only]

    def weights(
        self, key: str, table: Mapping[str, Any], n: int
    ) -> tuple[tuple[float, ...], tuple[tuple[int, ...], ...]]:
        """Weights of n children, and the panel that they come from (empty: they are given)."""
        if ("weights" in table) == ("panel" in table):
            raise DefinitionError(self.file, key, "needs either weights or a panel, not both")
        which = "weights" if "weights" in table else "panel"
        value = table[which]
        try:
            if not isinstance(value, list) or not value:
                raise ValueError("a list is needed")
            if which == "panel" and not all(isinstance(row, list) for row in value):
                raise ValueError("a list of rows is needed: experts x children")
            weights = given_weights(value) if which == "weights" else panel_weights(value)
            if len(weights) != n:
                raise ValueError(f"there are {len(weights)} for {n} children; give one each")
        except ValueError as error:
            raise DefinitionError(self.file, f"{key}.{which}", str(error)) from error
        return weights, tuple(map(tuple, value)) if which == "panel" else ()


def _key(name: str) -> str:
    return "tree" if name == ROOT else f"tree.{name}"
