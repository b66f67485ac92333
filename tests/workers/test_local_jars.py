from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from workers.local import jars
from workers.local.errors import FetchAgainError

OneJar = Callable[[bytes | Exception], Path]


class FakeArtifact:
    """Stands in for jgo's: 'downloads' what it is given."""

    def __init__(self, path: Path, content: bytes | Exception) -> None:
        self.cached_path = path
        self.content = content

    def resolve(self) -> Path:
        if isinstance(self.content, Exception):
            raise self.content
        assert not self.cached_path.exists()
        self.cached_path.write_bytes(self.content)
        return self.cached_path


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OneJar:
    """A lock of one jar whose bytes are b'good'; the function says what the network gives for it."""
    lock = tmp_path / "kafka.lock"
    sha256 = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    lock.write_text(f"# comment\n\na.b:c:1.0 4 {sha256}\n")
    read_lock = jars.read_lock
    monkeypatch.setattr(jars, "read_lock", lambda: read_lock(lock))

    def gives(content: bytes | Exception) -> Path:
        path = tmp_path / "c-1.0.jar"
        monkeypatch.setattr(jars, "_artifact", lambda context, coordinate: FakeArtifact(path, content))
        return path

    return gives


def test_jars_are_fetched_once_and_half_a_file_is_fetched_again(one_jar: OneJar, tmp_path: Path) -> None:
    path = one_jar(b"good")
    path.write_bytes(b"go")
    said: list[str] = []
    assert jars.class_path(said.append, tmp_path / "cache") == [path]
    assert path.read_bytes() == b"good"
    assert "1 jars, 0 MB" in said[0]
    one_jar(AssertionError("asked the network for what it has"))
    assert jars.class_path(said.append, tmp_path / "cache") == [path]


def test_a_jar_that_is_not_the_locked_one_is_removed(one_jar: OneJar, tmp_path: Path) -> None:
    path = one_jar(b"evil")
    with pytest.raises(FetchAgainError, match="not the file that was locked"):
        jars.class_path(lambda line: None, tmp_path / "cache")
    assert not path.exists()


def test_without_a_network_the_message_says_what_to_do(one_jar: OneJar, tmp_path: Path) -> None:
    one_jar(requests.ConnectionError("Max retries exceeded (Caused by NameResolutionError('no such host'))"))
    with pytest.raises(FetchAgainError, match=r"could not fetch a\.b:c:1\.0.*no such host.*HTTPS_PROXY"):
        jars.class_path(lambda line: None, tmp_path / "cache")


def test_the_lock_file_is_whole_and_holds_no_address() -> None:
    locked = jars.read_lock()
    assert {root.split(":")[1] for root in jars.ROOTS} <= {jar.coordinate.split(":")[1] for jar in locked}
    assert "/" not in "".join(line for line in jars.LOCK_FILE.read_text().splitlines() if not line.startswith("#"))
