"""Tidewatch as a newer version would be: `python -m tests.workers.newer ingest` (or any other command).

Its schema version of the state in Redis is 3, with a step up from 2. The step changes nothing that verify compares, so
that what the two versions write can be verified together; tests/state/test_migrate.py has one that rewrites cells.
"""

from __future__ import annotations

from state import keys, migrate

NEWER = 3


def become_newer() -> None:
    """To be called before anything else of the product is imported: versions are constants."""
    keys.SCHEMA = NEWER
    migrate.STEPS[NEWER - 1] = migrate.Step(state=lambda snapshot: snapshot, rows=lambda rows: rows)


if __name__ == "__main__":
    become_newer()
    from workers.cli import main
    from workers.verify import redis_state

    redis_state.SCHEMAS = (1, 2, NEWER)
    main()
