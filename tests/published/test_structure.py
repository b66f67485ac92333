"""cities.csv, agglomerations.csv, index_structure.csv: the published frame of the indices, against catalogue and trees.

Nothing is computed here: lists are compared with lists. The cities' frame and 26 + 36 member rows are reconstructions
(see the README beside the tables), so where those agree it shows that the copy is faithful, no more.
"""

from __future__ import annotations

import pytest

from tests.published.play import cities, leaves, rows, text, world

CITIES = rows("cities")
MEMBERS = rows("agglomerations")
STRUCTURE = rows("index_structure")
# scheme -> (kind of group, member rows in the file). The G60 corridor (9 rows of cw-2023) is no cluster of the report
SCHEMES = {"tencent-11": ("agglomeration", 172), "h3c-2023": ("h3c-agglomeration", 154), "cw-2023": ("cluster", 65)}
NAMES = {indicator.code: indicator.name for indicator in world().indicators}
DTI_LAYERS = {"基础设施指数": "infrastructure", "平台指数": "platform", "应用指数": "application"}


def test_351_of_369_divisions_are_the_cities() -> None:
    frame = {row["code"]: row for row in CITIES if row["frame351"] == "1"}
    assert (len(CITIES), len(frame)) == (369, 351)
    assert set(cities()) == set(frame)
    names = {entity.code: entity.name for entity in world().entities}
    assert all(names[code] == row["name"] for code, row in frame.items())
    for group in (entity for entity in world().entities if entity.kind == "province"):
        listed = {code for code, row in frame.items() if f"province:{row['province_code']}" == group.code}
        assert set(world().members[group.code]) & set(cities()) == listed, group


@pytest.mark.parametrize("scheme", SCHEMES)
def test_members_of_agglomerations(scheme: str) -> None:
    """As listed, without Hong Kong and Macao, which no catalogue of 351 has."""
    kind, count = SCHEMES[scheme]
    listed: dict[str, set[str]] = {}
    for row in MEMBERS:
        if row["scheme"] == scheme and row["agglomeration"] != "G60科创走廊":
            listed.setdefault(row["agglomeration"], set()).add(row["city_code"])
    assert sum(len(codes) for codes in listed.values()) == count
    groups = {e.name: set(world().members[e.code]) for e in world().entities if e.kind == kind}
    assert groups == {name: codes & set(cities()) for name, codes in listed.items()}
    missing = set().union(*listed.values()) - set(cities())
    assert missing <= {"810000", "820000"}


def test_the_eleven_are_a_partition_and_ten_cities_are_in_two_of_h3c() -> None:
    codes = [row["city_code"] for row in MEMBERS if row["scheme"] == "tencent-11"]
    assert len(codes) == len(set(codes)) == 172
    codes = [row["city_code"] for row in MEMBERS if row["scheme"] == "h3c-2023"]
    assert sum(codes.count(code) == 2 for code in set(codes)) == 10


def test_layers_and_indicators_of_dti_2023() -> None:
    for name, node in DTI_LAYERS.items():
        printed = [r["subcomponent"] for r in STRUCTURE if (r["seed"], r["component"]) == ("dti-2023", name)]
        assert [NAMES[leaf] for leaf in leaves(text("dti-2023"), node)] == printed, name


def test_layers_of_dti_2022() -> None:
    """Its second level was a figure and is lost: the layers only."""
    printed = [r["component"] for r in STRUCTURE if (r["seed"], r["index"]) == ("dti-2022", "数字化转型指数")]
    assert printed == list(DTI_LAYERS)
    assert all(leaves(text("dti-2022"), node) for node in DTI_LAYERS.values())


@pytest.mark.parametrize("report", ["dti-2022", "dti-2023"])
def test_three_key_indicators_of_the_industries(report: str) -> None:
    """Agile R&D is the indicator 数字化研发."""
    printed = {r["subcomponent"] for r in STRUCTURE if (r["seed"], r["index"]) == (report, "行业数字化转型指数")}
    ours = {leaf.partition("/")[0] for leaf in leaves(text(f"{report}-industries"))}
    assert {NAMES[code] for code in ours} == {name.replace("敏捷研发", "数字化研发") for name in printed}


def test_boards_of_dci_2020() -> None:
    """Five of the twelve industries, cloud usage, nine culture segments, one indicator each of the other two boards."""
    listed: dict[str, set[str]] = {}
    for row in STRUCTURE:
        if row["seed"] == "dci-2020":
            listed.setdefault(row["component"], set()).add(row["subcomponent"])
    industries = {(entry.set, entry.name) for entry in world().industries}
    assert {name for of, name in industries if of == "dci"} >= listed["数字产业指数"] - {"用云量"}
    assert NAMES["dci.cloud"] == "用云量"
    assert len([of for of, _ in industries if of == "dci"]) == 12
    assert {name for of, name in industries if of == "dci-culture"} == listed["数字文化指数"]
    assert {NAMES[leaf] for leaf in leaves(text("dci-2020"), "life")} == listed["数字生活指数"]
    assert len(leaves(text("dci-2020"), "government")) == len(listed["数字政务指数"]) == 1


def test_every_row_of_the_tables_is_used() -> None:
    assert (len(CITIES), len(MEMBERS), len(STRUCTURE)) == (369, 400, 34)
