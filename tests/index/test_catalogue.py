"""Catalogues: reading, JSON both ways, look-ups, and what is refused with file, key and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.catalogue import Catalogue, Entity, Indicator, Industry, Limits, Permission, matches
from index.errors import CatalogueError
from tests.index.worlds import catalogue

FILES = {
    "catalogue.toml": """name = "shops"
version = 3
timezone = "Europe/Paris"
base_kind = "shop"
years = [2020, 2024]
[limits]
window = 64
""",
    "entities.csv": "code,kind,name,name_en\nB,shop,Bär,Bear\nA,shop,甲,Jia\nchain:x,chain,X,X\n",
    "members.csv": "group,member\nchain:x,B\nchain:x,A\n",
    "indicators.csv": """code,name,name_en,kind,unit,decimals,industries
sales,Verkauf,Sales,flow,EUR,2,goods
staff,Leute,Staff,stock,,0,
""",
    "industries.csv": "set,code,name,name_en\ngoods,food,Essen,Food\ngoods,toys,Spielzeug,Toys\n",
    "sources.csv": "source,indicator\ntill-*,sales\nread-only,\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_folder(folder: Path) -> None:
    shops = Catalogue.load(folder)
    assert (shops.name, shops.version, shops.base_kind, shops.years, shops.limits) == (
        "shops",
        3,
        "shop",
        (2020, 2024),
        Limits(window=64),
    )
    assert shops.cities == ["A", "B"]
    assert shops.city_index == {"A": 0, "B": 1}
    assert shops.indicator_index == {"sales": 0, "staff": 1}
    assert shops.industry_index == [{"food": 0, "toys": 1}, {"all": 0}]
    assert shops.groups("chain") == ["chain:x"]
    assert shops.groups("shop") == shops.groups("none") == []
    assert shops.members_of("chain:x").tolist() == [0, 1]
    assert (shops.kind_of("A"), shops.name_of("B"), shops.kinds) == ("shop", "Bär", ["chain"])
    assert shops.may_write("till-7") == {"sales"}
    assert shops.may_write("read-only") == frozenset()
    assert shops.may_write("other") is None
    with pytest.raises(KeyError):
        shops.members_of("A")


def test_json_both_ways(folder: Path) -> None:
    shops = Catalogue.load(folder)
    again = Catalogue.from_json(shops.to_json())
    assert again == shops
    assert again.to_json() == shops.to_json()
    assert again.digest == shops.digest != msgspec.structs.replace(shops, version=4).digest


def test_sources_are_optional_and_a_byte_order_mark_is_not_a_column(folder: Path) -> None:
    (folder / "sources.csv").unlink()
    (folder / "members.csv").write_text("\ufeff" + FILES["members.csv"], encoding="utf-8")
    assert Catalogue.load(folder).sources == ()


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "reason"),
    [
        ("catalogue.toml", "version = 3", "version = 0", "version", "starts at 1"),
        ("catalogue.toml", "version = 3", 'version = "3"', "version", "int is needed"),
        ("catalogue.toml", "version = 3", "version = ", "", "is not TOML"),
        ("catalogue.toml", "version", "vresion", "version", "int is needed"),
        ("catalogue.toml", "window", "widnow", "limits", "widnow"),
        ("catalogue.toml", "window = 64", "cell = 1000000000000001", "limits.cell", "1..1000000000000000"),
        ("catalogue.toml", "window = 64", "window = 0", "limits.window", "lies in"),
        ("catalogue.toml", "window = 64", "future_s = -1", "limits.future_s", "lies in"),
        ("catalogue.toml", "Europe/Paris", "Europe/Pariss", "timezone", "no IANA time zone"),
        ("catalogue.toml", "[2020, 2024]", "[2024, 2020]", "years", "first not after last"),
        ("catalogue.toml", "[2020, 2024]", "[1900, 2024]", "years", "1970..2999"),
        ("catalogue.toml", "[2020, 2024]", "[2020]", "years", "write [first, last]"),
        ("catalogue.toml", "[limits]", "[limit]", "limit", "unknown key"),
        ("catalogue.toml", '"shop"', '"store"', "entity B", "must begin with 'shop:'"),
        ("entities.csv", "A,shop,甲,Jia", "B,shop,甲,Jia", "entity B", "stands twice"),
        ("entities.csv", "A,shop,甲,Jia", "A/1,shop,甲,Jia", "entity 'A/1'", "1 to 64 characters"),
        ("entities.csv", "A,shop,甲,Jia", "A,shop,甲", "line 3", "needs 4 fields"),
        ("entities.csv", "name_en", "english", "line 1", "needed are"),
        ("entities.csv", "chain:x,chain", "chainx,chain", "entity chainx", "must begin with 'chain:'"),
        ("members.csv", "chain:x,A", "chain:x,C", "members of chain:x", "C is no shop"),
        ("members.csv", "chain:x,A", "chain:y,A", "members of chain:y", "is no group"),
        ("members.csv", "chain:x,A", "chain:x,B", "members of chain:x", "stands twice"),
        ("indicators.csv", "EUR,2", "EUR,10", "indicator sales", "must lie in 0..9"),
        ("indicators.csv", "EUR,2", "EUR,two", "line 2", "no whole number"),
        ("indicators.csv", "flow", "flux", "indicator sales", "neither 'flow' nor 'stock'"),
        ("indicators.csv", "staff", "sales", "indicator sales", "stands twice"),
        ("indicators.csv", "goods", "wares", "indicator sales", "has no industry"),
        ("industries.csv", "goods,food", "goods,all", "industry goods/all", "choose another code"),
        ("industries.csv", "goods,food", "goods,toys", "industry goods/toys", "stands twice"),
        ("sources.csv", "till-*,sales", "till-*,slaes", "source till-*", "no indicator"),
        ("sources.csv", "till-*,sales", ",sales", "sources", "matches no source"),
    ],
)  # fmt: skip
def test_refused_with_file_key_and_reason(folder: Path, file: str, old: str, new: str, key: str, reason: str) -> None:
    text = FILES[file]
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        Catalogue.load(folder)
    assert caught.value.file.startswith(str(folder))
    assert caught.value.key == key
    assert reason in caught.value.reason, caught.value.reason
    assert reason in str(caught.value)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "members.csv").unlink()
    with pytest.raises(CatalogueError, match=r"members\.csv: there is no such file"):
        Catalogue.load(folder)


def test_not_utf8(folder: Path) -> None:
    (folder / "entities.csv").write_bytes("code,kind,name,name_en\nA,shop,Bär,".encode("latin-1"))
    with pytest.raises(CatalogueError, match="cannot be read as UTF-8"):
        Catalogue.load(folder)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"name": 1}', b"\xff", b"null"])
def test_what_is_no_catalogue_json(data: bytes) -> None:
    with pytest.raises(CatalogueError):
        Catalogue.from_json(data)


def test_json_is_checked_like_a_folder(folder: Path) -> None:
    text = Catalogue.load(folder).to_json().replace(b'"chain:x":["B","A"]', b'"chain:x":["B","Z"]')
    with pytest.raises(CatalogueError, match="Z is no shop"):
        Catalogue.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"entities": ()},
        {"indicators": ()},
        {"name": ""},
        {"base_kind": "a/b"},
        {"entities": (Entity("a", "city", "A"), Entity("x:a", "x/", "X"))},
        {"indicators": (Indicator("a/b", "", "", "flow", "", 0),)},
        {"industries": (Industry("s", "a@b", ""),)},
        {"sources": (Permission("s", "nothing"),)},
    ],
)
def test_more_that_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CatalogueError):
        msgspec.structs.replace(catalogue(), **change).checked("test")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a", "a", True), ("a", "ab", False), ("a*", "a", True), ("*", "", True), ("a*a", "a", False),
        ("a?", "ab", False), ("a*b*c", "a-b-b-c", True), ("a*b*c", "acb", False), ("[a]*", "a", False),
        ("**", "x", True), ("*x*", "yx", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


@given(st.text("ab*", max_size=6), st.text("ab", max_size=6))
def test_patterns_against_a_regular_expression(pattern: str, text: str) -> None:
    import re

    assert matches(pattern, text) is bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text))
