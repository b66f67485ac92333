"""The committed catalogue is what its script makes from the published lists, and is what the reports say."""

import csv
import runpy
from pathlib import Path

import pytest

from index.catalogue import Catalogue
from workers.settings import REPOSITORY

FOLDER = REPOSITORY / "systems" / "catalogue"
PUBLISHED = Path(__file__).parents[1] / "data" / "published"
LAIWU, JINAN = "371200", "370100"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(FOLDER)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def inside(catalogue: Catalogue, group: str) -> set[str]:
    return {catalogue.cities[i] for i in catalogue.members_of(group).tolist()}


def test_committed_files_equal_what_the_script_makes():
    for name, text in runpy.run_path(str(FOLDER / "build.py"))["build"](FOLDER).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run python systems/catalogue/build.py"


def test_lists_that_the_script_reads_are_the_published_ones():
    for name in ("cities.csv", "agglomerations.csv"):
        assert (FOLDER / "source" / name).read_bytes() == (PUBLISHED / name).read_bytes()


def test_every_file_is_plain_text():
    for path in [*FOLDER.rglob("*.csv"), *FOLDER.rglob("*.toml"), *PUBLISHED.glob("*.csv")]:
        data = path.read_bytes()
        assert not data.startswith(b"\xef\xbb\xbf"), path
        assert b"\r" not in data, path
        assert data.endswith(b"\n"), path


def test_sizes_of_the_groups(catalogue: Catalogue):
    assert len(catalogue.cities) == 352, "351 of today, and Laiwu"
    counts = {kind: len(catalogue.groups(kind)) for kind in catalogue.kinds if kind != "city"}
    assert counts == {
        "province": 31, "region": 4, "region3": 3, "agglomeration": 11, "tier": 5, "nation": 1,
        "h3c-agglomeration": 10, "core": 4, "circle": 1, "cluster": 3,
    }  # fmt: skip
    for kind in ("province", "region", "region3", "tier", "nation"):
        members = [city for group in catalogue.groups(kind) for city in catalogue.members_of(group).tolist()]
        assert sorted(members) == list(range(352)), f"{kind}: every city is in exactly one"


def test_laiwu_is_part_of_jinan_since_2019(catalogue: Catalogue):
    assert [(m.code, m.into, m.month) for m in catalogue.mergers] == [(LAIWU, JINAN, "2019-01")]
    assert catalogue.name_of(LAIWU) == "莱芜市"
    groups = {group for group in catalogue.members if LAIWU in catalogue.members[group]}
    assert groups == {"province:370000", "region:east", "region3:east", "tier:5", "nation:CN"}
    assert LAIWU not in {row["code"] for row in rows(PUBLISHED / "cities.csv")}


def test_agglomerations_have_the_published_numbers_of_cities(catalogue: Catalogue):
    published = rows(PUBLISHED / "dti_2023_agglomeration_rank.csv")
    wanted = {row["agglomeration"]: int(row["city_count"]) for row in published}
    groups = catalogue.groups("agglomeration")
    assert {catalogue.name_of(group): len(catalogue.members_of(group)) for group in groups} == wanted
    assert sum(wanted.values()) == 172


@pytest.mark.parametrize(
    ("kind", "scheme"), [("agglomeration", "tencent-11"), ("h3c-agglomeration", "h3c-2023"), ("cluster", "cw-2023")]
)
def test_members_are_those_of_the_published_scheme(catalogue: Catalogue, kind: str, scheme: str):
    published = [row for row in rows(PUBLISHED / "agglomerations.csv") if row["scheme"] == scheme]
    outside = {"810000", "820000"}
    for group in catalogue.groups(kind):
        name = catalogue.name_of(group)
        wanted = {row["city_code"] for row in published if row["agglomeration"] == name} - outside
        assert inside(catalogue, group) == wanted, group
    left = {row["agglomeration"] for row in published} - {catalogue.name_of(g) for g in catalogue.groups(kind)}
    assert left == ({"G60科创走廊"} if kind == "cluster" else set())


def test_clusters_have_the_numbers_of_cities_that_the_report_states(catalogue: Catalogue):
    facts = rows(PUBLISHED / "published_facts.csv")
    wanted = {
        row["entity"]: int(row["value"])
        for row in facts
        if row["seed"] == "cw-2023" and row["quantity"] == "agglomeration_city_count"
    }
    wanted["粤港澳大湾区"] -= 2  # Hong Kong and Macao
    found = {catalogue.name_of(g): len(catalogue.members_of(g)) for g in catalogue.groups("cluster")}
    assert found == wanted


def test_core_agglomerations_are_the_four_of_the_report_with_the_members_of_its_appendix(catalogue: Catalogue):
    listed = rows(PUBLISHED / "dei_2023_cores_circles.csv")
    names = {row["name"].removesuffix("城市群") for row in listed if row["kind"] == "core agglomeration"}
    assert {catalogue.name_of(group) for group in catalogue.groups("core")} == names
    for group in catalogue.groups("core"):
        assert inside(catalogue, group) == inside(catalogue, f"h3c-agglomeration:{group.split(':')[1]}")
    circles = {row["name"] for row in listed if row["kind"] == "metropolitan circle"}
    assert {catalogue.name_of(group) for group in catalogue.groups("circle")} <= circles


def test_northeast_of_the_three_regions(catalogue: Catalogue):
    assert inside(catalogue, "province:210000") <= inside(catalogue, "region3:east")
    centre = inside(catalogue, "province:220000") | inside(catalogue, "province:230000")
    assert centre <= inside(catalogue, "region3:central")


def test_indicators_of_each_system(catalogue: Catalogue):
    families: dict[str, int] = {}
    for indicator in catalogue.indicators:
        family = indicator.code.split(".")[0]
        families[family] = families.get(family, 0) + 1
    assert families == {"dti": 9, "dci": 9, "dei": 54, "cluster": 7, "future": 5}
    sets: dict[str, int] = {}
    for industry in catalogue.industries:
        sets[industry.set] = sets.get(industry.set, 0) + 1
    assert sets == {"dti": 12, "dci": 12, "dci-cloud": 18, "dci-culture": 9, "future": 6}
    dei = [i for i in catalogue.indicators if i.code.startswith("dei.")]
    assert [i.name for i in dei] == [row["level3"] for row in rows(PUBLISHED / "dei_2023_weights.csv")]
    assert {i.kind for i in dei} == {"stock"}


def test_meaning_of_the_first_catalogue_is_kept(catalogue: Catalogue):
    """Cells written under version 1 keep their kind, decimals and industries, so a running system takes this one."""
    assert catalogue.version > 1
    kept = {i.code: (i.kind, i.decimals, i.industries) for i in catalogue.indicators[:8]}
    assert kept == {
        "dti.cloud": ("flow", 2, "dti"),
        "dti.ai": ("flow", 2, "dti"),
        "dti.payment": ("flow", 2, "dti"),
        "dti.ecommerce": ("flow", 2, ""),
        "dti.entertainment": ("flow", 2, ""),
        "dti.procurement": ("flow", 2, ""),
        "dti.rnd": ("flow", 2, "dti"),
        "dti.collaboration": ("flow", 2, ""),
    }


def test_industries_of_the_printed_tables_are_known(catalogue: Catalogue):
    names = {set_: {i.name for i in catalogue.industries if i.set == set_} for set_ in ("dci", "dci-cloud")}
    printed = {row["industry"] for row in rows(PUBLISHED / "dci_2020_cluster_industry_growth_top3.csv")}
    assert printed <= names["dci"]
    for table in ("city_industry_top5", "industry_growth_rank", "industry_growth_2020h1"):
        printed = {row["industry"] for row in rows(PUBLISHED / f"dci_2020_cloud_{table}.csv")}
        assert printed <= names["dci-cloud"], table


def test_who_may_write(catalogue: Catalogue):
    assert catalogue.may_write("sandbox-1") == frozenset()
    assert catalogue.may_write("pay-east") == {"dti.payment", "dti.ecommerce"}
    assert catalogue.may_write("dlq/3") is None
    for family in ("dci", "dei", "cluster", "future"):
        own = {i.code for i in catalogue.indicators if i.code.startswith(f"{family}.")}
        assert catalogue.may_write(f"{family}-1") == own
    written = {line.indicator for line in catalogue.sources} - {""}
    assert written == set(catalogue.indicator_index), "every indicator has a source"
