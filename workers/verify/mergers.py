"""Where the cells of merged base entities count (docs/formats.md section 4, whose amounts)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workers.verify.catalogue import Catalogue
from workers.verify.periods import MONTHS, Period, parse_period


def home(catalogue: Catalogue, keep: bool, code: str, first_month: str) -> str:
    """The base entity as which `code` counts in a period with that first month (`YYYY-MM`): chains are followed."""
    while code in catalogue.mergers and not (keep and first_month < catalogue.mergers[code].month):
        code = catalogue.mergers[code].into
    return code


def homes(catalogue: Catalogue, keep: bool, periods: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(code, period, base entity) for each merged code and each period; mergers are few."""
    for name in periods:
        month = _first_month(name)
        for code in catalogue.mergers:
            yield code, name, home(catalogue, keep, code, month)


def merged(catalogue: Catalogue, keep: bool, code: str, period: str) -> bool:
    """Whether `code` is missing in that period because it is part of another entity."""
    return home(catalogue, keep, code, _first_month(period)) != code


def _first_month(name: str) -> str:
    period = parse_period(name)
    assert period is not None
    return Period("month", period.ordinal * MONTHS[period.grain]).name
