"""What can go wrong with the local servers, classed by what the person at the keyboard does next.

LocalError
+-- InstallFirstError     something is missing on this machine: install it
+-- FetchAgainError       Kafka's jars could not be fetched, or are not the ones that were locked: network, then again
+-- ChooseAnotherError    the folder or a port is somebody else's: end that one, or choose another
+-- ReadItsLogError       a server ended or did not serve in time: the message holds the end of its log
"""


class LocalError(Exception):
    """Base of everything that `workers.local` raises on purpose; its text says what happened, where, and what to do."""


class InstallFirstError(LocalError):
    """A program or wheel that the local servers need is not on this machine."""


class FetchAgainError(LocalError):
    """Kafka's jars are not to be had: no network, or bytes that differ from the lock file's hash."""


class ChooseAnotherError(LocalError):
    """The data folder or a port is in use by somebody else."""


class ReadItsLogError(LocalError):
    """A server's process ended, or did not serve within its bound."""
