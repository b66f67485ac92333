"""The error of rebuild, backup and restore that a person decides on."""

from __future__ import annotations


class RepairError(Exception):
    """It cannot be done: the message says why, what was written (nothing, unless it says so), and what to do."""
