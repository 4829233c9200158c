"""Standard output, as JSON lines and as a table."""

import io
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from sst_cloud import (
    Quality,
    Quantity,
    SinkClosedError,
    SinkOptionsError,
    SinkUnavailableError,
    open_sink,
)
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.stdout import StdoutSink


async def test_readings_are_printed_as_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_sink("stdout:") as sink:
        await sink.check()
        await sink.write([sample_reading(name="Ванна"), sample_reading(value=5)])
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith('{"time":"2026-03-01T12:00:00Z","quantity":"volume","value":123450,')
    assert '"name":"Ванна"' in first
    assert json.loads(second)["value"] == 5
    assert err == ""


async def test_readings_are_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_sink("stdout:?format=table") as sink:
        await sink.write(
            [
                sample_reading(name="[bold]Bath[/bold]"),
                sample_reading(quantity=Quantity.LEAK, value=True, water=None),
                sample_reading(quantity=Quantity.LEAK, value=False, name=None, device=""),
            ]
        )
    time, heading, meter, leak, dry = capsys.readouterr().out.splitlines()
    assert time == "2026-03-01 12:00:00Z"
    assert heading.split() == ["house", "device", "name", "quantity", "value", "water"]
    assert "[bold]Bath[/bold]" in meter
    assert "123 450 L" in meter
    assert "yes" in leak
    assert "no" in dry


async def test_table_with_several_times_and_qualities_has_those_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    later = sample_reading().time + timedelta(minutes=20)
    async with open_sink("stdout:?format=table") as sink:
        await sink.write([sample_reading(), sample_reading(time=later, quality=Quality.SUSPECT)])
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["time", "house"]
    assert first.startswith("2026-03-01 12:00:00Z")
    assert first.endswith("cold")
    assert second.startswith("2026-03-01 12:20:00Z")
    assert second.endswith("suspect")


async def test_piped_table_has_one_line_per_reading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    async with open_sink("stdout:?format=table") as sink:
        await sink.write([sample_reading(house="A house with a long name", name=None)])
    _, _, meter = capsys.readouterr().out.splitlines()
    assert "A house with a long name" in meter
    assert "counter 3" in meter
    assert meter == meter.rstrip()


async def test_standard_output_closed_from_the_start_is_a_temporary_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command line then prints to nowhere; readings must not be taken as printed."""
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(SinkUnavailableError, match="standard output is closed"):
        await StdoutSink().write([sample_reading()])


async def test_closed_stream_is_a_temporary_error() -> None:
    stream = io.StringIO()
    stream.close()
    async with StdoutSink(stream=stream) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.write([sample_reading()])


@pytest.mark.parametrize("url", ["stdout:file", "stdout:?format=xml", "stdout:?colour=1"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(SinkOptionsError):
        open_sink(url)


def test_table_without_rich_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.table", None)
    with pytest.raises(SinkOptionsError, match=r"pip install 'sst-cloud\[cli\]'"):
        open_sink("stdout:?format=table")


async def test_pipe_closed_by_its_reader_stays_closed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    async with StdoutSink(stream=stream) as sink:
        await sink.check()
        for attempt in (sink.write([sample_reading()]), sink.check(), sink.write([])):
            with pytest.raises(SinkClosedError, match="the reader has closed the pipe") as caught:
                await attempt
            assert caught.value.__cause__ is None
    with pytest.raises(BrokenPipeError):
        stream.close()
