"""What the rules must know of a system: its entities and groups, its nodes, and where its days end.

Rows and nodes are numbered as in the index (`index.layout`, `index.tree`); a series is a (row, node). What a catalogue
or a definition changes makes a new world, and the state goes on by name.
"""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from index.catalogue import Catalogue
from index.definition import Definition
from index.layout import Layout, Rows
from index.localtime import LocalCalendar
from index.periods import Grain, Period, month_name
from index.tree import Tree


class World(Struct, frozen=True, dict=True):
    """`codes`, `kinds` by row; `members`: group -> rows of its base entities; `nodes`: names, root first.

    `leaves`: their numbers, `indicators` and `weights` (down from the root) theirs; `grain`: the finest of the
    system's; `base`: the period whose totals are the unit; `nation`: None where the definition names none.
    """

    system: str
    codes: tuple[str, ...]
    kinds: tuple[str, ...]
    base_kind: str
    members: dict[str, Rows]
    nodes: tuple[str, ...]
    leaves: tuple[int, ...]
    indicators: tuple[str, ...]
    weights: tuple[float, ...]
    grain: Grain
    base: Period | None
    nation: str | None
    calendar: LocalCalendar
    catalogue: Catalogue

    @classmethod
    def of(cls, catalogue: Catalogue, definition: Definition) -> World:
        """The world of one system."""
        layout, tree = Layout(catalogue, definition.groups), definition.tree
        leaves = tuple(number for number, node in enumerate(tree.nodes) if node.leaf >= 0)
        return cls(
            system=definition.system,
            codes=tuple(layout.codes),
            kinds=tuple(layout.kinds),
            base_kind=catalogue.base_kind,
            members=layout.members,
            nodes=tuple(tree.names),
            leaves=leaves,
            indicators=tuple(tree.names[leaf].partition("/")[0] for leaf in leaves),
            weights=_weights(tree),
            grain=max(definition.grains),
            base=definition.base,
            nation=definition.nation,
            calendar=catalogue.calendar,
            catalogue=catalogue,
        )

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Entity -> row."""
        return {code: row for row, code in enumerate(self.codes)}

    @cached_property
    def node_of(self) -> dict[str, int]:
        """Node -> number."""
        return {name: number for number, name in enumerate(self.nodes)}

    @cached_property
    def rows_of_kind(self) -> dict[str, list[int]]:
        """Kind -> rows."""
        out: dict[str, list[int]] = {}
        for row, kind in enumerate(self.kinds):
            out.setdefault(kind, []).append(row)
        return out

    @cached_property
    def groups_of(self) -> dict[str, tuple[str, ...]]:
        """Base entity -> the groups that hold it; a group -> the groups of other kinds that hold all its members."""
        sets = {code: frozenset(rows.tolist()) for code, rows in self.members.items() if len(rows)}
        kind_of = dict(zip(self.codes, self.kinds, strict=True))
        out: dict[str, tuple[str, ...]] = {}
        for row, code in enumerate(self.codes):
            own = sets.get(code, frozenset((row,)) if code not in self.members else frozenset())
            if own:
                out[code] = tuple(g for g, rows in sets.items() if kind_of[g] != kind_of[code] and own <= rows)
        return out

    def members_of(self, code: str) -> list[int]:
        """Rows of the base entities in an entity (itself, if it is one)."""
        rows = self.members.get(code)
        return [self.row_of[code]] if rows is None else rows.tolist()

    def sends(self, source: str) -> frozenset[int]:
        """The leaves (node numbers) that a source feeds: those that the catalogue lets it write, none where it does not
        say."""
        allowed = self.catalogue.may_write(source) or frozenset()
        pairs = zip(self.leaves, self.indicators, strict=True)
        return frozenset(leaf for leaf, indicator in pairs if indicator in allowed)

    def period_of_day(self, day: int) -> Period:
        """The period of the finest grain that holds an epoch day."""
        return Period.parse(month_name(day)).ancestors()[Grain.MONTH - self.grain]


def _weights(tree: Tree) -> tuple[float, ...]:
    """Of each leaf: the product of the weights from the root down to it (nothing missing, no geometric node)."""
    factor = {0: 1.0}
    for number, node in enumerate(tree.nodes):
        weights = node.weights or (1.0,) * len(node.children)
        for child, weight in zip(node.children, weights, strict=True):
            factor[child] = factor.get(number, 0.0) * weight
    return tuple(factor.get(number, 0.0) for number, node in enumerate(tree.nodes) if node.leaf >= 0)
