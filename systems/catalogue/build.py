"""Makes entities.csv and members.csv of this folder from the published lists in `source/`, former.csv and tiers.csv.

    python systems/catalogue/build.py            write the two files
    python systems/catalogue/build.py --check    exit 1 if what is there differs from what would be written

Nothing is read from outside this folder, so the catalogue can be rebuilt from a clone. The result is a pure function
of the inputs: rows stand in the order of the city codes, groups in the order city, province, region, region3,
agglomeration, tier, nation, h3c-agglomeration, core, circle, cluster.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The bureau's four regions, and the reports' three: without a north-east of its own, Liaoning counts to the east,
# Jilin and Heilongjiang to the centre.
REGIONS = {"东部": "east", "中部": "central", "西部": "west", "东北": "northeast"}
REGION_NAMES = {
    "east": ("东部", "East"),
    "central": ("中部", "Central"),
    "west": ("西部", "West"),
    "northeast": ("东北", "Northeast"),
}
REGION3_OF_NORTHEAST = {"210000": "east", "220000": "central", "230000": "central"}

# Kind of group -> the scheme of agglomerations.csv, and which of its agglomerations (none named: all of them).
BLOCS: dict[str, tuple[str, frozenset[str]]] = {
    "agglomeration": ("tencent-11", frozenset()),
    "h3c-agglomeration": ("h3c-2023", frozenset()),
    # The four that DEI-2023 calls core; their members are those of its appendix.
    "core": ("h3c-2023", frozenset({"京津冀", "长三角", "粤港澳大湾区", "成渝"})),
    # The one of its 20 metropolitan circles whose members that appendix gives.
    "circle": ("h3c-2023", frozenset({"武汉都市圈"})),
    # The three of cw-2023; its G60 corridor lies inside one of them.
    "cluster": ("cw-2023", frozenset({"京津冀", "长三角", "粤港澳大湾区"})),
}
OUTSIDE = {"810000", "820000"}  # Hong Kong and Macao: listed as members, assessed by no report

TIERS = {
    "1": ("一线城市", "First-line cities"),
    "2": ("二线城市", "Second-line cities"),
    "3": ("三线城市", "Third-line cities"),
    "4": ("四线城市", "Fourth-line cities"),
    "5": ("五线城市", "Fifth-line cities"),
}


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header line, as dicts."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slug(name_en: str) -> str:
    """`Hohhot-Baotou-Ordos-Yulin` -> `hohhot-baotou-ordos-yulin`; blanks become hyphens."""
    return name_en.lower().replace(" ", "-")


def build(folder: Path) -> dict[str, str]:
    """The texts of entities.csv and members.csv. Raises ValueError when the inputs contradict each other."""
    present = [row for row in read(folder / "source" / "cities.csv") if row["frame351"] == "1"]
    cities = sorted(present + read(folder / "former.csv"), key=lambda row: row["code"])
    codes = {row["code"] for row in cities}
    blocs = [row for row in read(folder / "source" / "agglomerations.csv") if row["city_code"] not in OUTSIDE]
    tiers = {row["city"]: row["tier"] for row in read(folder / "tiers.csv")}
    if outside := {row["city_code"] for row in blocs} - codes:
        raise ValueError(f"agglomerations.csv: cities outside the frame: {sorted(outside)}")
    if former := {row["code"] for row in read(folder / "mergers.csv")} - codes:
        raise ValueError(f"mergers.csv: no cities of the catalogue: {sorted(former)}; add them to former.csv")
    if tiers.keys() != codes:
        raise ValueError(f"tiers.csv: not exactly the {len(codes)} cities: {sorted(tiers.keys() ^ codes)}")

    entities: list[tuple[str, str, str, str]] = []
    members: dict[str, list[str]] = {}

    def group(code: str, kind: str, name: str, name_en: str) -> list[str]:
        if code not in members:
            members[code] = []
            entities.append((code, kind, name, name_en))
        return members[code]

    for row in cities:
        entities.append((row["code"], "city", row["name"], row["name_en"]))
    for row in cities:
        group(f"province:{row['province_code']}", "province", row["province"], row["province_en"]).append(row["code"])
    for region in REGION_NAMES:
        inside = [row["code"] for row in cities if REGIONS[row["region"]] == region]
        group(f"region:{region}", "region", *REGION_NAMES[region]).extend(inside)
    for region in ("east", "central", "west"):
        inside = [row["code"] for row in cities if _region3(row) == region]
        group(f"region3:{region}", "region3", *REGION_NAMES[region]).extend(inside)

    def blocs_of(kind: str) -> None:
        scheme, names = BLOCS[kind]
        for row in blocs:
            if row["scheme"] == scheme and (not names or row["agglomeration"] in names):
                code = f"{kind}:{slug(row['agglomeration_en'])}"
                group(code, kind, row["agglomeration"], row["agglomeration_en"]).append(row["city_code"])

    blocs_of("agglomeration")
    for tier, names in TIERS.items():
        group(f"tier:{tier}", "tier", *names).extend(row["code"] for row in cities if tiers[row["code"]] == tier)
    group("nation:CN", "nation", "全国", "Nation").extend(row["code"] for row in cities)
    for kind in ("h3c-agglomeration", "core", "circle", "cluster"):
        blocs_of(kind)
    return {
        "entities.csv": _text(("code", "kind", "name", "name_en"), entities),
        "members.csv": _text(
            ("group", "member"), [(code, city) for code, inside in members.items() for city in inside]
        ),
    }


def _region3(row: dict[str, str]) -> str:
    region = REGIONS[row["region"]]
    return REGION3_OF_NORTHEAST[row["province_code"]] if region == "northeast" else region


def _text(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them. Returns the exit code."""
    texts = build(HERE)
    if "--check" in arguments:
        stale = [name for name, text in texts.items() if (HERE / name).read_bytes() != text.encode()]
        print(f"stale: {', '.join(stale)}" if stale else "entities.csv and members.csv are up to date")
        return 1 if stale else 0
    for name, text in texts.items():
        (HERE / name).write_bytes(text.encode())
        print(f"wrote {name}: {text.count(chr(10)) - 1} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
