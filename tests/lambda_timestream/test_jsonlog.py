"""Logs as JSON lines."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sst_cloud.jsonlog import JsonLines, log_json_lines

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    ours = {name: logging.getLogger(name).level for name in ("sst_cloud", "sst_cloud_sinks")}
    root.handlers[:] = []
    yield root
    root.handlers[:] = kept
    root.setLevel(level)
    for name, was in ours.items():
        logging.getLogger(name).setLevel(was)


def line(message: str, *args: object, **more: Any) -> dict[str, Any]:
    record = logging.getLogger("x").makeRecord("x", 20, "f.py", 1, message, args, None, **more)
    read: dict[str, Any] = json.loads(JsonLines().format(record))
    return read


def test_a_line() -> None:
    read = line("stored %d readings", 4, extra={"readings": 4, "token": TOKEN})
    assert read.pop("timestamp").endswith("Z")
    assert read == {
        "level": "INFO",
        "logger": "x",
        "message": "stored 4 readings",
        "readings": 4,
        "token": "***",
    }


def test_secrets_are_masked() -> None:
    assert TOKEN not in str(line("Token %s was refused", TOKEN))


def test_a_traceback_stays_on_its_line() -> None:
    try:
        raise ValueError(f"bad token {TOKEN}")  # noqa: TRY301
    except ValueError:
        record = logging.LogRecord("x", 40, "f.py", 1, "it broke", (), sys.exc_info())
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["traceback"]
    assert TOKEN not in text


def test_other_packages_do_not_tell_bodies(root: logging.Logger) -> None:
    stream = io.StringIO()
    root.addHandler(logging.StreamHandler(stream))
    log_json_lines("DEBUG")
    logging.getLogger("botocore.endpoint").debug("the whole body")
    logging.getLogger("sst_cloud.transport").debug("12 bytes")
    assert [json.loads(each)["message"] for each in stream.getvalue().splitlines()] == ["12 bytes"]


def test_without_handlers_it_goes_to_stderr(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root.handlers.clear()  # pytest has put its own there
    log_json_lines()
    logging.getLogger("sst_cloud").info("here")
    assert json.loads(capsys.readouterr().err)["message"] == "here"
