"""Mergers: the file, what is refused, and where the cells of a merged code count."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from index.catalogue import Catalogue, Merger
from index.errors import CatalogueError
from index.layout import Layout
from index.mergers import Mergers
from index.periods import Period
from tests.index.test_catalogue import FILES
from tests.index.worlds import CITIES, catalogue

CHAIN = [("c5", "c4", "2021-04"), ("c4", "c1", "2021-12")]


def month(name: str) -> int:
    return Period.parse(name).ordinal


def test_the_file_is_optional_and_older_json_has_none(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    without = Catalogue.load(tmp_path)
    assert without.mergers == ()
    (tmp_path / "mergers.csv").write_text("code,into,month\nB,A,2021-03\n", encoding="utf-8")
    shops = Catalogue.load(tmp_path)
    assert shops.mergers == (Merger("B", "A", "2021-03"),)
    assert Catalogue.from_json(shops.to_json()) == shops
    older = {key: value for key, value in msgspec.json.decode(without.to_json()).items() if key != "mergers"}
    assert Catalogue.from_json(msgspec.json.encode(older)) == without


@pytest.mark.parametrize(
    ("lines", "key", "reason"),
    [
        ([("c9", "c1", "2021-01")], "merger of c9", "'c9' is no city"),
        ([("c1", "prov:a", "2021-01")], "merger of c1", "'prov:a' is no city"),
        ([("c1", "c2", "2021Q1")], "merger of c1", "no month"),
        ([("c1", "c2", "2021-13")], "merger of c1", "no month"),
        ([("c1", "c2", "2021-01"), ("c1", "c3", "2022-01")], "merger of c1", "stands twice"),
        ([("c1", "c1", "2021-01")], "merger of c1", "c1 > c1 is a cycle"),
        ([("c1", "c2", "2021-01"), ("c2", "c3", "2021-01"), ("c3", "c2", "2021-01")], "merger of c2", "c2 > c3 > c2"),
    ],
)
def test_refused(lines: list[tuple[str, str, str]], key: str, reason: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        catalogue(mergers=lines)
    assert caught.value.key == key
    assert reason in caught.value.reason


def test_where_cells_count() -> None:
    """c5 is part of c4 from 2021-04 on, and with it of c1 from 2021-12 on."""
    keep, restate = Mergers(catalogue(mergers=CHAIN), False), Mergers(catalogue(mergers=CHAIN), True)

    def where(mergers: Mergers, name: str) -> list[str]:
        return [CITIES[i] for i in mergers.successors(month(name)).tolist()]

    assert where(keep, "2021-03") == CITIES
    assert where(keep, "2021-04") == ["c1", "c2", "c3", "c4", "c4"]
    assert where(keep, "2021-12") == where(restate, "2019-01") == ["c1", "c2", "c3", "c1", "c1"]
    cities = np.array([4, 4, 3, 0], np.int32)
    months = np.array([month(m) for m in ("2021-03", "2021-04", "2022-01", "2022-01")], np.int32)
    assert keep.counted_for(cities, months).tolist() == [4, 3, 0, 0]
    assert restate.counted_for(cities, months).tolist() == [0, 0, 0, 0]
    assert keep.merged(Period.parse("2021")).tolist() == [False] * 5  # its first month is before either
    assert keep.merged(Period.parse("2021Q2")).tolist() == [False, False, False, False, True]
    assert not Mergers(catalogue(), True)


def test_rows_and_members() -> None:
    restate = Layout(catalogue(mergers=CHAIN), ("prov", "nation"))
    assert restate.is_row.tolist() == [True, True, True, False, False, True, True, True]
    assert [restate.codes[m] for m in restate.members["nation:n"]] == ["c1", "c2", "c3"]
    assert restate.members["prov:b"].tolist() == []
    assert "c5" not in restate.row_of
    assert restate.merged(Period.parse("2022")).tolist() == []
    keep = Layout(catalogue(mergers=CHAIN), ("prov", "nation"), restate=False)
    assert keep.is_row.all()
    assert len(keep.members["nation:n"]) == 5
    assert keep.merged(Period.parse("2022")).tolist() == [3, 4]
