"""The committed catalogue is what its script makes from the published lists, and is what the reports say."""

import csv
import runpy
from pathlib import Path

import pytest

from index.catalogue import Catalogue
from workers.settings import REPOSITORY

FOLDER = REPOSITORY / "systems" / "catalogue"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(FOLDER)


def test_committed_files_equal_what_the_script_makes():
    for name, text in runpy.run_path(str(FOLDER / "build.py"))["build"](FOLDER).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run python systems/catalogue/build.py"


def test_every_file_is_plain_text():
    for path in [*FOLDER.rglob("*.csv"), *FOLDER.rglob("*.toml")]:
        data = path.read_bytes()
        assert not data.startswith(b"\xef\xbb\xbf"), path
        assert b"\r" not in data, path
        assert data.endswith(b"\n"), path


def test_sizes_of_the_groups(catalogue: Catalogue):
    assert len(catalogue.cities) == 351
    counts = {kind: len(catalogue.groups(kind)) for kind in catalogue.kinds if kind != "city"}
    assert counts == {"province": 31, "region": 4, "region3": 3, "agglomeration": 11, "tier": 5, "nation": 1}
    for kind in ("province", "region", "region3", "tier", "nation"):
        inside = [city for group in catalogue.groups(kind) for city in catalogue.members_of(group).tolist()]
        assert sorted(inside) == list(range(351)), f"{kind}: every city is in exactly one"


def test_agglomerations_have_the_published_numbers_of_cities(catalogue: Catalogue):
    published = Path(__file__).parents[1] / "data" / "dti-2023" / "dti_2023_agglomeration_rank.csv"
    with published.open(encoding="utf-8", newline="") as file:
        wanted = {row["agglomeration"]: int(row["city_count"]) for row in csv.DictReader(file)}
    groups = catalogue.groups("agglomeration")
    assert {catalogue.name_of(group): len(catalogue.members_of(group)) for group in groups} == wanted


def test_northeast_of_the_three_regions(catalogue: Catalogue):
    def inside(group: str) -> set[int]:
        return set(catalogue.members_of(group).tolist())

    assert inside("province:210000") <= inside("region3:east")
    assert inside("province:220000") | inside("province:230000") <= inside("region3:central")


def test_who_may_write(catalogue: Catalogue):
    assert catalogue.may_write("sandbox-1") == frozenset()
    assert catalogue.may_write("pay-east") == {"dti.payment", "dti.ecommerce"}
    assert catalogue.may_write("dlq/3") is None
