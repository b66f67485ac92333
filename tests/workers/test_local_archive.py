"""Java's archive of Kafka's classes: `make test` makes it first, and a broker then starts from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.local import Servers
from workers.local.archive import archive_options, archive_path, outdated
from workers.local.jars import class_path
from workers.local.kafka import java_of


def place(folder: Path) -> tuple[Path, list[Path]]:
    java, jar = folder / "java" / "bin" / "java", folder / "kafka.jar"
    java.parent.mkdir(parents=True)
    java.write_bytes(b"java")
    jar.write_bytes(b"jar")
    return java, [jar]


def test_there_is_none_until_it_is_made(tmp_path: Path) -> None:
    java, jars = place(tmp_path)
    assert archive_options(java, jars, tmp_path) == []
    archive_path(java, jars, tmp_path).touch()
    assert archive_options(java, jars, tmp_path)[0] == f"-XX:AOTCache={archive_path(java, jars, tmp_path)}"


@pytest.mark.parametrize("which", ["java", "jar"])
def test_another_java_or_another_jar_has_another(tmp_path: Path, which: str) -> None:
    java, jars = place(tmp_path)
    before = archive_path(java, jars, tmp_path)
    before.touch()
    (java if which == "java" else jars[0]).write_bytes(b"another one")
    after = archive_path(java, jars, tmp_path)
    assert archive_options(java, jars, tmp_path) == []
    after.touch()
    assert outdated(after) == [before]


def test_a_java_elsewhere_keeps_its_own(tmp_path: Path) -> None:
    java, jars = place(tmp_path / "here")
    other, _ = place(tmp_path / "there")
    archive_path(other, jars, tmp_path).touch()
    assert outdated(archive_path(java, jars, tmp_path)) == []


def test_a_link_to_a_java_is_that_java(tmp_path: Path) -> None:
    java, jars = place(tmp_path / "here")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "here" / "java")
    assert archive_path(link / "bin" / "java", jars, tmp_path) == archive_path(java, jars, tmp_path)


def test_a_broker_starts_from_it(servers: Servers) -> None:
    archive = archive_path(java_of(), class_path(lambda line: None))
    maps = Path("/proc") / str(servers.kafka_server.pid) / "maps"
    if not archive.exists():
        pytest.skip("no archive of Kafka's classes: `python -m workers.local.training` makes it, or says why it cannot")
    if not maps.exists():
        pytest.skip("this system does not tell what a process has mapped")
    assert str(archive) in maps.read_text()
