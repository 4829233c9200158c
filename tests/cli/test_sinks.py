"""`sst-cloud sinks`: the sinks that are installed."""

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_sinks_on_a_narrow_terminal_are_not_truncated(sst_on_terminal: Run) -> None:
    out = sst_on_terminal(30, "sinks").out
    assert "influxdb:https://HOST:8086/BUCKET\n" in out
    assert "…" not in out
    assert "endpoint_url" in out


def test_sinks_are_listed(sst: Run) -> None:
    status, out, _ = sst("sinks")
    assert status == 0
    assert "csv:PATH" in out
    assert "a reading written again changes nothing" in out
    assert {len(line) - len(line.rstrip()) for line in out.splitlines()} == {0}
    listed = {sink["scheme"]: sink for sink in json.loads(sst("sinks", "--json").out)}
    assert listed["stdout"]["options"] == {"format": "jsonl (default) or table"}
    assert listed["sqlite"]["readable"]


def test_a_broken_sink_is_listed_with_its_error(
    sst: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sst_cloud.sinks]\nsad = no_such_module:Sink\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = sst("sinks")
    assert status == 0
    assert "the sad sink of sad 1.0 cannot be loaded" in out
