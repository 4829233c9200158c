"""The SQLite sink against a model of a folder in which users move files."""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from collector.memory import MEMORY
from sinks.stores import numbered, values
from sst_cloud import Quantity
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = [pytest.mark.slow, pytest.mark.source]


class FolderMachine(RuleBasedStateMachine):
    """Writes, and file operations between them; every file has its expected content."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="store-", dir=MEMORY))
        self.path = self.folder / "home.db"
        self.names = (self.folder / f"{number}.db" for number in count())
        self.files: dict[Path, set[int]] = {}
        """The content of every file."""
        self.sink = SqliteSink(self.path)

    def teardown(self) -> None:
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule()
    def start_again(self) -> None:
        self.sink = SqliteSink(self.path)

    @rule(numbers=st.sets(st.integers(0, 500), min_size=1, max_size=200))
    def write(self, numbers: set[int]) -> None:
        self.runner.run(self.sink.write(numbered(*numbers)))
        self.files.setdefault(self.path, set()).update(numbers)

    @rule()
    def read(self) -> None:
        async def read() -> list[float]:
            return [reading.value async for reading in self.sink.read(Quantity.VOLUME)]

        assert self.runner.run(read()) == sorted(self.files.get(self.path, ()))
        newest = [reading.value for reading in self.runner.run(self.sink.latest())]
        assert newest == sorted(self.files.get(self.path, ()))[-1:]
        self.runner.run(self.sink.check())

    @precondition(lambda self: self.path in self.files)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        target = self._file(data) if data.draw(st.booleans()) else next(self.names)
        if target != self.path:
            self.path.rename(target)
            self.files[target] = self.files.pop(self.path)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), over=st.booleans())
    def copy(self, data: st.DataObject, over: bool) -> None:
        """Copy into a new file, or over an existing one, which stays the same file."""
        source = self._file(data)
        target = self._file(data) if over else next(self.names)
        with suppress(shutil.SameFileError):
            shutil.copyfile(source, target)
            self.files[target] = set(self.files[source])

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Replace the store with another file."""
        source = self._file(data)
        source.replace(self.path)
        self.files[self.path] = self.files.pop(source)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), empty=st.booleans())
    def remove(self, data: st.DataObject, empty: bool) -> None:
        path = self._file(data)
        if empty:
            path.write_bytes(b"")
            self.files[path] = set()
        else:
            path.unlink()
            del self.files[path]

    def _file(self, data: st.DataObject) -> Path:
        return data.draw(st.sampled_from(sorted(self.files)))

    @invariant()
    def every_file_is_whole(self) -> None:
        for path, numbers in self.files.items():
            assert values(path) == sorted(numbers)
        assert {*self.folder.iterdir()} == self.files.keys()


def test_sqlite_sink_matches_the_model_of_moved_files() -> None:
    brief = settings(max_examples=60, stateful_step_count=20)
    run_state_machine_as_test(FolderMachine, settings=brief)
