"""Errors, named by what the caller does next.

IndexFault
├── DefinitionError       refuse this definition; what runs goes on
├── CatalogueError        refuse this catalogue; what runs goes on
├── NewerCatalogueError   the cells know more than this catalogue: rebuild with the newer one
├── CorruptCellError      a row of the state cannot be read: load it again; if it stays, stop and tell a person
└── AmountOverflowError   a sum left the range in which it is exact: stop; publishing would be wrong
"""


class IndexFault(Exception):
    """Base of all errors of this package."""


class _Refused(IndexFault):
    """A text made by a person is refused; says in which file, at which key, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        """All three are shown; `reason` says what to do when that is not plain."""
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason


class DefinitionError(_Refused):
    """A definition of an index system is not valid, or does not fit the catalogue."""


class CatalogueError(_Refused):
    """A catalogue is not valid."""


class NewerCatalogueError(IndexFault):
    """A cell names a city, an indicator or an industry that this catalogue does not know."""

    def __init__(self, what: str, code: str, row: str, version: int) -> None:
        """`what` is `city`, `indicator` or `industry`; `version` is that of the catalogue in use."""
        super().__init__(
            f"{row}: unknown {what} {code!r} in catalogue version {version}; rebuild with a newer catalogue"
        )
        self.what = what
        self.code = code
        self.row = row
        self.version = version


class CorruptCellError(IndexFault):
    """A row of the state has a key, a field or a value that no writer of ours makes."""

    def __init__(self, row: str, field: str, reason: str) -> None:
        """`row` and `field` as they stand in Redis, so that a person finds them."""
        super().__init__(
            f"{row} {field}: {reason}; load the partition again, and if it stays, inspect it with redis-cli"
        )
        self.row = row
        self.field = field
        self.reason = reason


class AmountOverflowError(IndexFault):
    """An exact sum reached 2^62 units; beyond 2^63 it would wrap without a sign."""
