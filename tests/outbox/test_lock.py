"""One collector per state folder, whatever happens to the files in it."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sst_cloud.atomic_files import make_folder
from sst_cloud.errors import OutboxError
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.state_folder import is_running
from sst_cloud.testing.sink_contract import sample_reading

pytestmark = pytest.mark.not_quick

IN_USE = r"another collector is using "
HOLDER = """
import asyncio, os, sys
from pathlib import Path
from sst_cloud.outbox.outbox import Outbox

async def hold():
    async with Outbox(Path(sys.argv[1])):
        if sys.argv[2] == "fork" and os.fork():
            await asyncio.Event().wait()
        if sys.argv[2] == "command":
            await asyncio.create_subprocess_exec("cat", stdout=2)
        print(flush=True)  # a fork reports it itself: it closes the folder when it first runs
        if sys.argv[2] == "fork":
            os.read(0, 1)
            os._exit(0)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@contextmanager
def collector(folder: Path, child: str = "none") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a folder; its child ends when `stdin` is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline()
        yield process
        process.kill()


def remove(lock: Path) -> None:
    lock.unlink()


def replace(lock: Path) -> None:
    lock.unlink()
    lock.touch()


def truncate(lock: Path) -> None:
    os.truncate(lock, 0)


def overwrite(lock: Path) -> None:
    lock.write_bytes(b"not a lock file, and long enough to be told apart from one" * 20)


@pytest.mark.parametrize("damage", [remove, replace, truncate, overwrite])
async def test_second_collector_is_refused_whatever_happens_to_the_lock_file(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with collector(tmp_path):
        damage(tmp_path / "collector.lock")
        for _ in range(2):
            assert is_running(tmp_path)
            with pytest.raises(OutboxError, match=IN_USE):
                await Outbox(tmp_path).__aenter__()


async def test_second_collector_is_refused_through_a_link_to_the_folder(tmp_path: Path) -> None:
    state, link = tmp_path / "state", tmp_path / "link"
    link.symlink_to(state)
    with collector(state):
        (state / "collector.lock").unlink()
        assert is_running(link)
        with pytest.raises(OutboxError, match=IN_USE):
            await Outbox(link).__aenter__()


@pytest.mark.parametrize("child", ["fork", "command"])
async def test_child_of_a_killed_collector_does_not_keep_the_lock(
    tmp_path: Path, child: str
) -> None:
    with collector(tmp_path, child) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert not is_running(tmp_path)
        async with Outbox(tmp_path):
            assert is_running(tmp_path)


async def test_collector_leaves_a_recreated_folder_to_the_next_collector(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    entry = Commit([sample_reading()])
    async with Outbox(state) as first:
        await first.append(entry)
        state.rename(tmp_path / "old")
        async with Outbox(state) as second:
            await second.append(entry)
            with pytest.raises(OutboxError, match=IN_USE):
                await first.append(entry)
            await second.append(entry)
            assert (await second.status()).readings == 2
        await first.append(entry)
        with pytest.raises(OutboxError, match=IN_USE):
            await Outbox(state).__aenter__()


async def test_collector_creates_a_new_folder_if_its_folder_was_moved(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with Outbox(state) as outbox:
        state.rename(tmp_path / "old")
        await outbox.append(Commit([sample_reading()]))
        assert is_running(state)
        assert not is_running(tmp_path / "old")
        assert (await outbox.status()).readings == 1


async def test_reading_the_status_does_not_prevent_a_collector_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("sst_cloud.outbox.lock.sleep", lambda _: os.close(looking))
    assert not is_running(tmp_path)
    async with Outbox(tmp_path):
        assert is_running(tmp_path)


@pytest.mark.parametrize("reason", [errno.EBADF, errno.ENOTSUP, errno.ENOLCK, None])
async def test_only_the_lock_file_is_used_if_folders_cannot_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int | None
) -> None:
    """None: there is no lock function, as on Windows."""

    def refuse(*_: object) -> None:
        raise OSError(reason, "no locks here")

    if reason is None:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_running(tmp_path)
    async with Outbox(tmp_path):
        assert is_running(tmp_path)
        with pytest.raises(OutboxError, match=IN_USE):
            await Outbox(tmp_path).__aenter__()
    assert not is_running(tmp_path)


def test_no_collector_is_running_without_a_folder(tmp_path: Path) -> None:
    assert not is_running(tmp_path / "none")


async def test_created_files_are_synced_with_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut, a file whose folder was not synced may have no name."""
    synced: list[Path] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    state = tmp_path / "a" / "state"
    async with Outbox(state):
        assert synced == [tmp_path / "a", tmp_path, state]
        assert {file.name for file in state.iterdir()} >= {"collector.lock", "outbox.db"}
        del synced[:]
    async with Outbox(state):
        assert synced == []


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.EBADF, errno.EIO])
def test_unsyncable_folder_is_ignored_but_a_failing_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(reason, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    if reason == errno.EIO:
        with pytest.raises(OSError, match="no"):
            make_folder(tmp_path / "new")
    else:
        make_folder(tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    shutil.rmtree(tmp_path / "new")
