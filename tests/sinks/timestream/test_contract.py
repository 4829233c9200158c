"""The contract tests for the Timestream sink."""

from collections.abc import Callable

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.store import Table
from sst_cloud.sink import Sink
from sst_cloud.testing import SinkContract


class TestTimestream(SinkContract):
    @pytest.fixture
    def make_sink(self, make_sink: MakeSink, table: Table) -> Callable[[], Sink]:
        return make_sink


class TestTimestreamThatTurnsDownRepeats(SinkContract):
    """According to one report, a repeated record is rejected at its own version."""

    @pytest.fixture
    def make_sink(self, make_sink: MakeSink, table: Table) -> Callable[[], Sink]:
        table.turns_down_repeats = True
        return make_sink


class TestTimestreamOverwriting(SinkContract):
    @pytest.fixture
    def make_sink(self, make_sink: MakeSink, table: Table) -> Callable[[], Sink]:
        return lambda: make_sink(overwrite=True)
