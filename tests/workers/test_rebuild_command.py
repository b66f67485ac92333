"""`tidewatch rebuild` over several partitions of which one cannot be judged: what is mended in the others is said."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from typer.testing import CliRunner

import workers.rebuild
from state.errors import SchemaError
from workers.cli import main
from workers.rebuild import Verdict
from workers.repair_error import RepairError


@pytest.mark.parametrize("error", [RepairError("partition 1: the log is gone"), SchemaError(1, "2", 1)])
def test_a_partition_that_cannot_be_judged_does_not_hide_the_others(error: Exception, monkeypatch: pytest.MonkeyPatch):
    async def judged(settings: object, redis: object, partition: int, **how: Any) -> Verdict:
        if partition == 1:
            raise error
        return Verdict(partition, 10, swapped=True, kinds=Counter(cell=1))

    monkeypatch.setattr(workers.rebuild, "partitions_of", lambda settings: [0, 1, 2])
    monkeypatch.setattr(workers.rebuild, "rebuild", judged)
    done = CliRunner().invoke(main, ["rebuild", "--json"])
    assert done.exit_code == 2, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert [each["partition"] for each in found["partitions"]] == [0, 2]
    assert list(found["failed"]) == ["1"]
    assert not found["right"]
    assert done.stderr.count("1 difference, mended") == 2
    assert str(error) in done.stderr
