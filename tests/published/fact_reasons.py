"""The stated facts that no other printed figure gives, with the reason: (report, numbers, reason)."""

from __future__ import annotations

ONCE = "stated once; the chart or table behind it is lost or prints no figures"

CANNOT = [
    ("dti-2023", "002", "the industries of the edition are not listed; its tables name nine"),
    ("dti-2023", "004-010", "growth of the nation and of the layers: " + ONCE),
    ("dti-2023", "011-019", "national ranks of provinces and cities: the edition prints no such table"),
    ("dti-2023", "020-023", "shares and growth of tiers: neither figures nor the tiers' members are printed"),
    ("dti-2023", "024-030", "sizes, growths and ranks of industries: " + ONCE),
    ("dti-2023", "032-036", "shares and mean growths of agglomerations: the table prints only their order"),
    ("dti-2023", "037-039", "national ranks of cities, means of agglomerations: no values are printed"),
    ("dti-2023", "040-044", "shares of cities in their agglomeration: no city values are printed"),
    ("dti-2023", "045-048", "cities by manufacturing: no such table is printed"),
    ("dti-2023", "049", "the size of a survey, no index figure"),
    ("dti-2022", "002", "the 18 industries are not listed; the tables name twelve"),
    ("dti-2022", "005-008", "levels and growths of the nation and the layers: " + ONCE),
    ("dti-2022", "009-011", "ranks of provinces by index: no such table is printed"),
    ("dti-2022", "012-014", "national ranks of cities; the cluster tables rank within agglomerations (and agree)"),
    ("dti-2022", "015-018", "provinces by growth: " + ONCE),
    ("dti-2022", "019-021", "shares and growth of tiers: neither figures nor the tiers' members are printed"),
    ("dti-2022", "023 025 028-029", "shares: no values of cities or agglomerations are printed"),
    ("dti-2022", "026-027", "national ranks of cities; the cluster tables rank within agglomerations (and agree)"),
    ("dti-2022", "030-037", "ends of map legends, the only city values of the edition"),
    ("dti-2022", "038-050", "shares of cities in their agglomeration: no city values are printed"),
    ("dti-2022", "052-054", "ratios and shares of cities: no city values are printed"),
    ("dti-2022", "055-062", "provinces by layer: " + ONCE),
    ("dti-2022", "063-067", "growth and shares of industries: the tables print only orders"),
    ("dei-2023", "004", "the check points below level 3 are not printed"),
    ("dei-2023", "008-009", "shares of the economy and the population: figures of other bodies"),
    (
        "dei-2023",
        "025-026",
        "growth of tier counts: those of the previous edition are not printed (50 and 78 would do)",
    ),
    ("dei-2023", "034-036", "districts, counties and zones assessed: no list is printed"),
    ("dei-2023", "037-046", "context of other bodies, not an index; no second figure leads to it"),
    ("dci-2020", "003", "the 12 industries are not listed; the method names five"),
    ("dci-2020", "004-006", "level and growth of the whole: ten of 31 provinces are printed, and no year but 2019"),
    ("dci-2020", "011-012", "compound growth since 2017, contribution: neither levels of 2017 nor weights are printed"),
    ("dci-2020", "013 015-031", "shares and growths of agglomerations and regions: " + ONCE),
    (
        "dci-2020",
        "032-036",
        "national ranks of cities: no such table (Beijing's 56.9 and Shanghai's 54.0 agree)",
    ),
    ("dci-2020", "037-039", "culture of agglomerations: no values are printed"),
    ("dci-2020", "040-042 044-048", "shares and growths of cities in their agglomeration: no city values are printed"),
    ("dci-2020", "049-058", "provinces by industry index: the table prints ranks of 15 and no values or growths"),
    ("dci-2020", "059-069", "cities by industry index: no such table but of the risers"),
    (
        "dci-2020",
        "074-090",
        "cloud usage of regions, provinces, tiers, industries: the tables print only orders",
    ),
    ("dci-2020", "091", "the classes are not printed; those of dci-2020.toml are ours, chosen so that it is eight"),
    ("dci-2020", "092-097", "growth of cloud industries and classes: the table of 2019 prints only an order"),
    ("dci-2020", "098-101", "shares of cities and segments in culture: the tables print only orders"),
    ("dci-2020", "102", "no growth of 2018 is printed that would lead back to 2017"),
    ("dci-2020", "106-108", "digital divide: the report does not define it"),
    ("dci-2020", "113-115", "median and regions of digital government: four city values are printed"),
    ("dci-2020", "118-129", "growths in digital government: " + ONCE),
    ("dci-2020", "133-139", "growths in digital government: " + ONCE),
    ("dci-2020", "140-155", "means, growths and divides of agglomerations in digital government: " + ONCE),
    ("dci-2020", "156", "rate of returning users: " + ONCE),
    ("dci-2020", "172-182 184", "monthly, regional and provincial figures of 2020, and against 2018: " + ONCE),
    ("cw-2023", "001-003", "36 of the members are filled in until these counts are reached"),
    ("cw-2023", "004-005", "cities by tier: not listed"),
    ("cw-2023", "007 010-012 015-017", "context of other bodies, not an index; no second figure leads to it"),
    ("cw-2023", "018-019", "slopes against the computing-power index: " + ONCE),
]


def spelt_out() -> dict[str, str]:
    """Reason by fact id; ValueError for an id that stands twice."""
    found: dict[str, str] = {}
    for report, numbers, reason in CANNOT:
        for part in numbers.split():
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                if (name := f"{report}-{number:03d}") in found:
                    raise ValueError(f"{name} stands twice")
                found[name] = reason
    return found
