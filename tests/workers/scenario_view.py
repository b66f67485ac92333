"""The index of the scenario's quarterly totals in plain numpy: what the facts of the report are compared with."""

import numpy as np

from index.catalogue import Catalogue
from index.definition import Definition
from workers.scenario.rows import Scenario

WINDOW = slice(0, 9)  # 2021Q1 to 2023Q1
YEAR_2022 = slice(4, 8)
LAST = slice(8, 9)


class View:
    """Values by (quarter, city) of every node, and the industry view by (quarter, city, industry)."""

    def __init__(self, scenario: Scenario, definition: Definition, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.frame = scenario.frame
        # Municipalities are cities and provinces of one name: a name means the city.
        self.names = {catalogue.name_of(code): code for code in reversed([e.code for e in catalogue.entities])}
        self.amounts = scenario.totals.amounts
        self.industries = scenario.totals.industries["dti.cloud"]
        self.nodes = {}
        self._evaluate(definition, 0)
        self.index = self.nodes["index"]
        # The report: three key indicators; how they are weighted against each other it does not say. As in the index.
        shares = self._shares(definition, 0, 1.0)
        keys = ("dti.cloud", "dti.ai", "dti.rnd")
        self.by_industry = sum(shares[k] * self.amounts[k] / self.amounts[k][0].sum() * 100 for k in keys)

    def _evaluate(self, definition: Definition, number: int) -> np.ndarray:
        node = definition.tree.nodes[number]
        if node.leaf >= 0:
            whole = self.amounts[node.name].sum(axis=2)
            value = whole / whole[0].sum() * definition.scale
        else:
            parts = [self._evaluate(definition, child) for child in node.children]
            value = sum(w * part for w, part in zip(node.weights, parts, strict=True))
        self.nodes[node.name] = value
        return value

    def _shares(self, definition: Definition, number: int, weight: float) -> dict[str, float]:
        node = definition.tree.nodes[number]
        if node.leaf >= 0:
            return {node.name: weight}
        pairs = zip(node.weights, node.children, strict=True)
        return {k: v for w, child in pairs for k, v in self._shares(definition, child, weight * w).items()}

    def of(self, name: str, node: str = "index") -> np.ndarray:
        """Quarterly values of a city or group, by its Chinese name or its code."""
        code = self.names.get(name, name)
        inside = self.frame.groups[code] if code in self.frame.groups else [self.frame.codes.index(code)]
        return self.nodes[node][:, inside].sum(axis=1)

    def share(self, names: list[str], whole: str, when: slice = WINDOW) -> float:
        return float(sum(self.of(name)[when].sum() for name in names) / self.of(whole)[when].sum())

    def rank(self, name: str, kind: str, when: slice, node: str = "index") -> int:
        """Competition rank among the entities of a kind, by name or code."""
        values = {code: self.of(code, node)[when].sum() for code in self.frame.kinds[kind]}
        return 1 + sum(value > values[self.names.get(name, name)] for value in values.values())

    def members(self, name: str) -> list[str]:
        """Names of a group's cities."""
        return [self.catalogue.name_of(self.frame.codes[i]) for i in self.frame.groups[self.names[name]]]

    def mean_yoy(self, name: str) -> float:
        return float(yoy(self.of(name)).mean())

    def mean_yoy_rank(self, name: str, kind: str, slowest: bool = False) -> int:
        rates = {code: self.mean_yoy(code) * (-1 if slowest else 1) for code in self.frame.kinds[kind]}
        return 1 + sum(rate > rates[self.names[name]] for rate in rates.values())

    def city_growth(self, group: str) -> float:
        """Mean over the members of their mean year-on-year rates."""
        return float(yoy(self.index).mean(axis=0)[self.frame.groups[self.names[group]]].mean())

    def mean_city_rank(self, name: str, kind: str) -> int:
        means = {c: self.of(c).sum() / len(self.frame.groups[c]) for c in self.frame.kinds[kind]}
        return 1 + sum(mean > means[self.names[name]] for mean in means.values())

    def leaders(self, group: str, count: int) -> list[str]:
        """The first cities of a group over the window, as codes."""
        inside = self.frame.groups[self.names[group]]
        best = inside[np.argsort(-self.index[:, inside].sum(axis=0))][:count]
        return [self.frame.codes[i] for i in best]

    def industry_rank(self, industry: str, measure: str) -> int:
        nation = self.by_industry.sum(axis=1)
        values = nation[YEAR_2022].sum(axis=0) if measure == "size" else yoy(nation).mean(axis=0)
        return 1 + int((values > values[self.industries.index(industry)]).sum())

    def industry_mean_yoy(self, industry: str) -> float:
        return float(yoy(self.by_industry.sum(axis=1)).mean(axis=0)[self.industries.index(industry)])

    def city_industries(self, name: str) -> dict[str, float]:
        """Share of each industry in a city's industry view of 2022, largest first."""
        row = self.by_industry[YEAR_2022, self.frame.codes.index(self.names[name])].sum(axis=0)
        return {self.industries[k]: float(row[k] / row.sum()) for k in np.argsort(-row)}

    def industry_cities(self, industry: str, count: int) -> list[str]:
        """The first cities of an industry in 2022, as names."""
        column = self.by_industry[YEAR_2022, :, self.industries.index(industry)].sum(axis=0)
        return [self.catalogue.name_of(self.frame.codes[i]) for i in np.argsort(-column)[:count]]

    def group_industries(self, name: str, count: int) -> list[str]:
        """The first industries of a group over the window."""
        row = self.by_industry[:, self.frame.groups[self.names[name]]].sum(axis=(0, 1))
        return [self.industries[k] for k in np.argsort(-row)[:count]]


def yoy(path: np.ndarray) -> np.ndarray:
    """Year-on-year rates of 2022Q1 to 2023Q1."""
    return path[4:] / path[:-4] - 1
