"""Messages of `index-updates` from and to a sheet: plain dicts in the shape of docs/formats.md section 6.

Without the head that is the same for a whole revision (schema, system, revision, definition), and without the key.
Built from columns: about 2 us each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.growth import Kind
from index.layout import Layout, Rows
from index.reasons import CODES, WORDS, Reason
from index.sheet import NO_DAYS, STATUS_WORDS, Sheet, Status

Update = dict[str, Any]
_GROWTHS = ("pop", "yoy", "mean_yoy", "to_date")
_EXPLAINED = ("value", *_GROWTHS)


class UpdateWriter:
    """Makes updates of rows of a sheet. `nodes`: names of all nodes, root first."""

    def __init__(self, layout: Layout, nodes: tuple[str, ...]) -> None:
        """Keeps the explanations it has made: they repeat, and are shared between updates (do not change them)."""
        self._layout = layout
        self._nodes = nodes[1:]
        self._explanations: dict[tuple[int, ...], dict[str, str]] = {}

    def write(self, sheet: Sheet, rows: Rows) -> list[Update]:
        """One update per row, in row order. Every row has a status."""
        codes, kinds, period, names = self._layout.codes, self._layout.kinds, sheet.name, self._nodes
        values = _rows_of(sheet.values[:, rows])
        growths = _rows_of(sheet.growth[:, 0, rows])
        status = sheet.status[rows].tolist()
        coverage = sheet.coverage[rows].tolist()
        days = [None if n == NO_DAYS else n for n in sheet.days[rows].tolist()]
        why = np.concatenate((sheet.why[:1, rows], sheet.growth_why[:, 0, rows])).T.tolist()
        return [
            {
                "entity": codes[row],
                "kind": kinds[row],
                "period": period,
                "status": STATUS_WORDS[state],
                "value": value[0],
                "coverage": covered,
                "nodes": dict(zip(names, value[1:], strict=True)),
                "growth": {"pop": growth[0], "yoy": growth[1], "mean_yoy": growth[2], "to_date": growth[3]},
                "days": n_days,
                "why": self._explain(tuple(codes_of_reasons)),
            }
            for row, state, value, covered, growth, n_days, codes_of_reasons in zip(
                rows.tolist(), status, values, coverage, growths, days, why, strict=True
            )
        ]

    def _explain(self, codes: tuple[int, ...]) -> dict[str, str]:
        why = self._explanations.get(codes)
        if why is None:
            why = {name: WORDS[code] for name, code in zip(_EXPLAINED, codes, strict=True) if code != Reason.NONE}
            self._explanations[codes] = why
        return why


def _rows_of(columns: NDArray[np.float64]) -> list[list[float | None]]:
    """[k, n] -> n lists of k Python floats, None for NaN."""
    missing = np.isnan(columns)
    if not missing.any():
        plain: list[list[float | None]] = columns.T.tolist()
        return plain
    boxed = columns.T.astype(object)
    boxed[missing.T] = None
    result: list[list[float | None]] = boxed.tolist()
    return result


def read_update(update: Any, sheet: Sheet, row: int, number_of_node: Mapping[str, int], kind: str) -> bool:
    """Put a published update back into its row. False when its shape is not what we would publish now (other nodes or
    kind).

    `update`: a dict, or an object with such attributes (a decoded message).
    """
    value, nodes, growth = get(update, "value"), get(update, "nodes"), get(update, "growth")
    sheet.values[0, row] = _float(value)
    for name, node_value in nodes.items():
        number = number_of_node.get(name, 0)
        if number:
            sheet.values[number, row] = _float(node_value)
    why = get(update, "why")
    sheet.why[:, row] = Reason.UNKNOWN
    sheet.why[0, row] = CODES.get(why.get("value", ""), Reason.NONE)
    for kind_of_growth, name in zip(Kind, _GROWTHS, strict=True):
        sheet.growth[kind_of_growth, 0, row] = _float(get(growth, name))
        sheet.growth_why[kind_of_growth, 0, row] = CODES.get(why.get(name, ""), Reason.NONE)
    sheet.coverage[row] = get(update, "coverage")
    sheet.status[row] = _STATUS_OF[get(update, "status")]
    days = get(update, "days")
    sheet.days[row] = NO_DAYS if days is None else days
    same_nodes = len(nodes) == len(number_of_node) - 1 and all(name in number_of_node for name in nodes)
    return same_nodes and bool(get(update, "kind") == kind)


_STATUS_OF = {word: Status(code) for code, word in enumerate(STATUS_WORDS) if code}


def get(source: Any, name: str) -> Any:
    """A field of a dict, or of an object."""
    return source[name] if isinstance(source, Mapping) else getattr(source, name)


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)
