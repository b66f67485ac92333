"""Why a verification cannot be made. A difference that was found is no error: it stands in the report."""

from __future__ import annotations


class VerifyError(Exception):
    """Nothing can be said about the system: no revision yet, a log without its beginning, servers out of reach."""
