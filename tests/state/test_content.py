"""Comparing what Redis holds with what is right: every change is named, and nothing else is."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from state.content import Content, differences
from state.inspect import Look
from state.keys import SCHEMA, Offset, Partition
from tests.shops import shops

P = Partition(7)
TEXTS = st.integers(-9, 9).map(str)
ROWS = st.dictionaries(
    st.sampled_from([f"{sort}:2022-0{m}:{city}" for sort in ("cells", "days") for m in (1, 2) for city in "ab"]),
    st.dictionaries(st.sampled_from(["x/all", "y/all", "x@2022-01-01"]), TEXTS, min_size=1),
)
CONTENTS = st.builds(
    Content,
    offset=st.integers(1, 99).map(Offset),
    watermark_us=st.none() | st.integers(0, 99),
    catalogue_version=st.just(1),
    catalogue=st.just(shops().to_json()),
    windows=st.dictionaries(st.sampled_from(["pay", "till", "城"]), st.sampled_from(["9:1ff", "3:1"])),
    counts=st.dictionaries(st.sampled_from(["accepted", "duplicate"]), st.integers(0, 9)),
    rows=ROWS,
)


def look_at(content: Content, **changed: object) -> Look:
    """What Redis holds where `content` was written by flushes."""
    meta = {"epoch": "me", "offset": str(content.offset), "schema": str(SCHEMA), "feed_bytes": "5"}
    meta |= {} if content.watermark_us is None else {"watermark": str(content.watermark_us)}
    meta |= {} if content.catalogue_version is None else {"catalogue": str(content.catalogue_version)}
    fields = {
        "meta": meta,
        "catalogue": content.catalogue,
        "windows": dict(content.windows),
        "counts": {name: str(n) for name, n in content.counts.items()},
        "rows": deepcopy(content.rows),
        "entries": 1,
        "first": f"{content.offset}-0",
        "last": f"{content.offset}-0",
        "sizes": [f"{content.offset}-0 5"],
        "skipped": [],
        "odd": [],
    }
    return Look(P, **{**fields, **changed})  # type: ignore[arg-type]


def plain(content: Content) -> dict[tuple[str, str, str], str]:
    """Every single thing that it says, by kind, row and field."""
    out = {
        ("day" if row.startswith("days:") else "cell", row, name): text
        for row, fields in content.rows.items()
        for name, text in fields.items()
    }
    out |= {("window", "seq", source): text for source, text in content.windows.items()}
    out |= {("count", "counts", name): str(n) for name, n in content.counts.items()}
    if content.watermark_us is not None:
        out["watermark", "meta", "watermark"] = str(content.watermark_us)
    out["meta", "meta", "offset"] = str(content.offset)
    return out


@given(CONTENTS)
def test_what_is_right_differs_in_nothing(content: Content):
    assert list(differences(look_at(content), content)) == []


@given(CONTENTS, CONTENTS)
def test_each_difference_is_named_once_and_nothing_else(live: Content, right: Content):
    found = {(d.kind, d.row, d.field): (d.live, d.right) for d in differences(look_at(live), right) if d.kind != "feed"}
    one, other = plain(live), plain(right)
    assert found == {
        place: (one.get(place), other.get(place))
        for place in one.keys() | other.keys()
        if one.get(place) != other.get(place)
    }


@given(CONTENTS)
def test_a_snapshot_and_back(content: Content):
    assert Content.of(content.snapshot(P)) == content


def test_what_is_no_cell():
    right = Content(Offset(9), None, 1, shops().to_json())
    other = {"name": "other"}
    cases: list[tuple[dict[str, object], set[str]]] = [
        ({"odd": ["seq"]}, {"key"}),
        ({"catalogue": None}, {"catalogue"}),
        ({"catalogue": str(other).encode()}, {"catalogue"}),
        ({"catalogue": b" " + shops().to_json()}, set()),  # the same, written by another version
        ({"rows": {"cells:2022-01:a": {}}}, {"key"}),  # listed, and not there
        ({"sizes": ["9-0 4"]}, {"feed"}),
        ({"sizes": []}, {"feed"}),
        ({"sizes": ["9-0 five"]}, {"feed"}),
        ({"first": "11-0", "last": "11-0", "sizes": ["11-0 5"]}, {"feed"}),  # beyond the offset
        ({"meta": {"offset": "x", "schema": str(SCHEMA), "catalogue": "1", "feed_bytes": "5"}}, {"meta", "feed"}),
        ({"meta": {"offset": "9", "catalogue": "1", "feed_bytes": "5"}}, set()),  # no schema: the first
        ({"meta": {"offset": "9", "schema": "one", "catalogue": "1", "feed_bytes": "5"}}, {"meta"}),
    ]
    for changed, kinds in cases:
        assert {d.kind for d in differences(look_at(right, **changed), right)} == kinds, changed
    assert {d.row for d in differences(look_at(right), right, {"cells:2022-01:a"})} == {"cells:2022-01:a"}
