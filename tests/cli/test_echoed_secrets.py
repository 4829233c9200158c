"""A store that repeats its token: it appears in no log, file or status of the collector."""

import json
import logging
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from echo import FORMS, PLACES, http, leaked
from sst_cloud.testing import FakeCloud

from .conftest import Run

pytestmark = pytest.mark.not_quick

TOKEN: Final = "qXf-a/very+secret_token=="
STATE: Final = ("--state", "state")
Answer = Callable[[str], bytes]


def partial_write(text: str) -> bytes:
    """Reports the first line of a write as bad."""
    data = [{"line_number": 1, "error_message": text}]
    return http(400, json.dumps({"error": f"partial write: {text}", "data": data}))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answer], str]]:
    """The URL of a sink whose server repeats the token in every encoding in turn."""
    answers: list[Answer] = []
    forms = list(FORMS.values())

    class Repeat(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            length = re.search(rb"Content-Length: (\d+)", head)
            self.rfile.read(int(length[1]) if length else 0)
            forms.append(forms.pop(0))
            self.wfile.write(answers[0](f"{forms[0](TOKEN)} {head.decode()}"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFLUXDB_TOKEN", TOKEN)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Repeat) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def start(answer: Answer) -> str:
            answers.append(answer)
            return f"influxdb:http://127.0.0.1:{server.server_address[1]}/home?org=me"

        yield start
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", [*PLACES, "partial write"])
def test_collector_never_stores_an_echoed_token(
    place: str,
    sst: Run,
    logged_in: FakeCloud,
    store: Callable[[Answer], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    url = store(partial_write if place == "partial write" else PLACES[place])
    output = str(sst("-vv", "check", *STATE, "--sink", url))
    output += str(sst("-vv", "collect", "--once", *STATE, "--sink", url))
    status = sst("status", "--json", *STATE)
    output += status.out + str(sst("status", *STATE)) + str(sst("dead-letters", "list", *STATE))
    assert "influxdb:" in status.out
    assert leaked(output + caplog.text, TOKEN) == []
    names = set[str]()
    for file in Path("state").iterdir():
        names.add(file.name)
        assert leaked(file.read_bytes().decode("latin-1"), TOKEN) == [], file
    assert "outbox.db" in names
    assert ("dead-letters.jsonl" in names) or place != "partial write"
