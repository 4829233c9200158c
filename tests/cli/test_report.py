"""`sst-cloud report`: what it prints, and where it can be sent."""

import asyncio
import csv
import io
import itertools
import json
import socketserver
import ssl
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from echo import FORMS, leaked
from sst_cloud import ManualClock, Reading, open_sink
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.display.meter_titles import natural_key
from sst_cloud.models import House
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.state_folder import houses_note
from sst_cloud.testing.sink_contract import sample_reading

from .conftest import Outcome, Run

MOSCOW = timedelta(hours=3)
MONTHS = [datetime(2026, month, 26, tzinfo=UTC) - MOSCOW for month in (8, 9, 10, 11)]
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
STORE = ("report", "sqlite:home.db", "--timezone", "Europe/Moscow")


def meter(name: str, water: str, totals: Sequence[int], **changes: Any) -> list[Reading]:
    """Totals of a meter at the end of 25 August, 25 September and 25 October."""
    fields = {"name": name, "point_id": name, "water": water} | changes
    return [
        sample_reading(time=time, value=total, **fields)
        for time, total in zip(MONTHS, totals, strict=False)
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the program runs in, with a store."""
    monkeypatch.chdir(tmp_path)

    async def write() -> None:
        async with open_sink("sqlite:home.db") as sink:
            await sink.write(meter("Cold", "cold", (10_100, 14_900, 21_500)))
            await sink.write(meter("Hot", "hot", (5_000, 7_999, 9_001)))
            dacha = {"house_id": 7, "house": "Dacha"}
            await sink.write(meter("Well", "cold", (0, 100_000, 101_000), **dacha))

    asyncio.run(write())
    return tmp_path


@pytest.fixture
def sst(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `sst-cloud` on the 10th of November."""

    def invoke(*args: str) -> Outcome:
        status = run(args, Settings(clock=ManualClock(NOW)))
        return Outcome(status, *capsys.readouterr())

    return invoke


def test_report_is_printed_as_tables(sst: Run, home: Path) -> None:
    status, out, err = sst(*STORE, "--day", "25", "--house", "Home")
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert lines == [
        "Home, October 2026: 2026-09-26 00:00 to 2026-10-26 00:00",
        "meter water before, m³ read now, m³ read used, m³",
        "Cold cold 14 26 Sep 00:00 21 26 Oct 00:00 7",
        "Hot hot 7 26 Sep 00:00 9 26 Oct 00:00 2",
        "all cold cold 7",
        "all hot hot 2",
    ]


def test_meters_with_the_same_name_are_distinguished(sst: Run, home: Path) -> None:
    """In the rows of the report and in its notes."""

    async def add() -> None:
        async with open_sink("sqlite:home.db") as sink:
            other = {"point_id": "2", "device_id": 9, "device": "Garage"}
            await sink.write(meter("Cold", "cold", (1_000, 2_000), **other))

    asyncio.run(add())
    out = sst(*STORE, "--day", "25", "--house", "Home").out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert [line for line in lines if " cold " in line][:2] == [
        "Bathroom Cold cold 14 26 Sep 00:00 21 26 Oct 00:00 7",
        "Garage Cold cold 2 26 Sep 00:00 2 26 Sep 00:00 0",
    ]
    assert lines[-1].startswith("Note: Garage Cold: the last reading is ")


def test_names_sort_in_natural_order() -> None:
    names = ["", "9", "10", "0" * 5_000 + "11", "9" * 5_000, "a9b", "a10", "b1", "²"]
    for at in range(len(names)):
        assert sorted([*names[at:], *names[:at]], key=natural_key) == names


def test_report_as_json_and_csv(sst: Run, home: Path) -> None:
    first, second = json.loads(sst(*STORE, "--day", "25", "--decimals", "1", "--json").out)
    assert (first["house"], first["month"], second["house"]) == ("Home", "2026-10", "Dacha")
    assert (first["cold_m3"], first["hot_m3"]) == (6.6, 1.1)
    whole = json.loads(sst(*STORE, "--day", "25", "--json").out)[0]["meters"][0]
    assert (whole["first_m3"], whole["last_m3"], whole["used_m3"]) == (14, 21, 7)
    assert isinstance(whole["used_m3"], int)
    cold, *_ = csv.DictReader(io.StringIO(sst(*STORE, "--day", "25", "--csv").out))
    assert (cold["month"], cold["house"], cold["last_m3"]) == ("2026-10", "Home", "21")
    assert cold["last_time"] == "2026-10-26T00:00:00+03:00"


def test_report_of_another_month(sst: Run, home: Path) -> None:
    report, _ = json.loads(sst(*STORE, "--day", "25", "--month", "2026-09", "--json").out)
    assert [report["start"][:10], report["end"][:10]] == ["2026-08-26", "2026-09-26"]
    assert report["cold_m3"] == 4


def store(rows: Sequence[tuple[datetime, int]], file: str = "winter.db") -> tuple[str, ...]:
    """Create a store with these totals of one meter; returns the command line arguments."""

    async def write() -> None:
        async with open_sink(f"sqlite:{file}") as sink:
            await sink.write([sample_reading(time=time, value=total) for time, total in rows])

    asyncio.run(write())
    return ("report", f"sqlite:{file}", "--timezone", "UTC", "--decimals", "3", "--json")


def test_monthly_reports_add_up_while_a_module_is_off(sst: Run, home: Path) -> None:
    """As in a summer house that is empty in winter."""
    rows = [(datetime(2025, 10, 1 + n, tzinfo=UTC), 50_000 + 100 * n) for n in range(10)]
    rows += [(datetime(2026, 5, 10 + n, tzinfo=UTC), 60_900 + 100 * n) for n in range(15)]
    words = store(rows)
    months = ["2025-10", "2025-11", "2025-12", "2026-02", "2026-03", "2026-04", "2026-05"]
    meters = []
    for month in months:
        (report,) = json.loads(sst(*words, "--month", month).out)
        meters += report["meters"]
    assert [(meter["first_l"], meter["last_l"]) for meter in meters] == [
        (50_000, 50_900),
        *[(50_900, 50_900)] * 5,
        (50_900, 62_300),
    ]
    assert sum(meter["used_m3"] for meter in meters) == pytest.approx(12.3)
    assert meters[-1]["first_time"] == "2025-10-10T00:00:00+00:00"


def test_glitch_at_the_end_is_recognised_by_later_readings(sst: Run, home: Path) -> None:
    """It was not validated: the readings of the next day continue the old total."""
    october = [(datetime(2026, 10, 1 + n, tzinfo=UTC), 1000 + 10 * n) for n in range(31)]
    glitch = (datetime(2026, 10, 31, 23, 50, tzinfo=UTC), 50_000_000)
    after = [(datetime(2026, 11, 1, n, tzinfo=UTC), 1310) for n in (1, 2, 3)]
    (report,) = json.loads(sst(*store([*october, glitch, *after]), "--month", "2026-10").out)
    assert [meter["last_l"] for meter in report["meters"]] == [1300]
    later = [(datetime(2026, 11, 9, n, tzinfo=UTC), 1310) for n in range(3)]
    words = store([*october, glitch, *later], "later.db")
    (report,) = json.loads(sst(*words, "--month", "2026-10").out)
    assert [meter["last_l"] for meter in report["meters"]] == [1300]


def test_unfinished_month_is_noted(sst: Run, home: Path) -> None:
    status, out, err = sst(*STORE, "--day", "25", "--month", "2026-11", "--house", "7")
    assert status == 0
    assert err == "Note: Dacha, November 2026: the report day is not over yet.\n"
    assert "Note: Well: the last reading is 16 days old." in out


def test_each_house_has_its_own_report_day_and_time_zone(
    sst: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    houses = (
        House(id=1, timezone="Europe/Moscow", report_date=25),
        House(id=7, timezone="Asia/Omsk"),
    )

    async def note() -> None:
        async with Outbox(home) as outbox:
            await outbox.append(Commit(notes={"houses": houses_note(houses)}))

    asyncio.run(note())
    status, out, err = sst("report", "sqlite:home.db", "--state", str(home), "--json")
    assert (status, err) == (0, "")
    assert {report["house"]: report["end"] for report in json.loads(out)} == {
        "Home": "2026-10-26T00:00:00+03:00",
        "Dacha": "2026-11-01T00:00:00+06:00",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--month", "October"), "'October' is not a month; write one like 2026-10"),
        (("--month", "2026-13"), "is not a month"),
        (("--day", "32"), "32 is not in the range 1<=x<=31"),
        (("--decimals", "4"), "4 is not in the range 0<=x<=3"),
        (("--json", "--csv"), "cannot be combined"),
        (("--send-to", "mailto:me@example.com"), "mail needs a server: SST_CLOUD_SMTP must look"),
        (("--send-to", "https://"), "--send-to: a handler's URL must look like https://"),
        (("--send-to", "it's"), "--send-to: cannot parse the command of a handler"),
    ],
)
def test_wrong_usage_is_an_error_with_a_hint(
    sst: Run, home: Path, words: tuple[str, ...], message: str
) -> None:
    status, out, err = sst(*STORE, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 2


def test_period_without_readings_is_explained(sst: Run, home: Path) -> None:
    status, out, err = sst(*STORE, "--month", "2020-01", "--json")
    assert (status, out) == (0, "[]\n")
    assert err == (
        "No meter was read by the end of 2020-01-01 00:00 to 2020-02-01 00:00, so there is "
        "nothing to report: the first reading is from 2026-08-26 00:00.\n"
    )
    status, _, err = sst(*STORE, "--month", "2020-01", "--send-to", "http://127.0.0.1:1/")
    assert status == 1, "whoever waits for it, in cron say, gets nothing"
    assert "Sent" not in err
    assert "there are no readings of a house 'X' in that time" in sst(*STORE, "--house", "X").err


def test_report_is_sent_to_a_command(sst: Run, home: Path) -> None:
    keep = "import sys; open('got.jsonl', 'a').write(sys.stdin.read())"
    status, _, err = sst(*STORE, "--send-to", f'{sys.executable} -c "{keep}"')
    assert (status, err.startswith("Sent to "), len(err.splitlines())) == (0, True, 1)
    reports = [json.loads(line) for line in Path("got.jsonl").read_text().splitlines()]
    assert [report["house"] for report in reports] == ["Home", "Dacha"]
    status, out, err = sst(*STORE, "--send-to", "false")
    assert (status, err) == (1, "Error: not sent to false: the command failed (exit status 1)\n")
    assert "Home, October 2026" in out


def test_report_is_posted_to_a_url(sst: Run, home: Path) -> None:
    reports: list[Any] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Keep the output of the tests clean."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/hook?key=secret"
            status, _, err = sst(*STORE, "--send-to", address)
        finally:
            server.shutdown()
            thread.join()
    assert status == 0
    assert "secret" not in err
    assert [report["house"] for report in reports] == ["Home", "Dacha"]


class MailServer:
    """Accepts mail and has one user."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses = ""
        self.refuses_senders = False

    async def handle_MAIL(  # noqa: N802  as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuses_senders:
            return "553 you are not known here"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refuses:
            return "550 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    known = (data.login, data.password) == (b"me@example.com", b"right")
    return AuthResult(success=known, handled=False)


class FreePort(Controller):
    """Determines its port before the self-test connects to it."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


Start = Callable[..., tuple[MailServer, int]]


@pytest.fixture
def mail_server() -> Iterator[Start]:
    """Start a mail server on a free port."""
    running: list[Controller] = []

    def start(**options: Any) -> tuple[MailServer, int]:
        handler = MailServer()
        controller = FreePort(handler, hostname="127.0.0.1", port=0, **options)
        controller.start()
        running.append(controller)
        return handler, controller.port

    yield start
    for controller in running:
        controller.stop()


MAIL = ("--send-to", "mailto:you@example.com,me@example.com", "--day", "25", "--house", "Home")


def test_report_is_sent_by_mail(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = mail_server()
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtp://127.0.0.1:{port}")
    status, out, err = sst(*STORE, *MAIL)
    assert (status, err) == (0, "Sent by mail to you@example.com, me@example.com.\n")
    (mail,) = server.mails
    assert mail["Subject"] == "Water meters: Home, October 2026"
    assert (mail["From"], mail["To"]) == ("you@example.com", "you@example.com, me@example.com")
    assert mail["Date"] == "Tue, 10 Nov 2026 12:00:00 +0000"
    assert mail["Message-ID"].endswith("@example.com>")
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert page is not None
    assert text.get_content().split() == out.split()
    assert page.get_content().rstrip() == f"<pre>{text.get_content()}</pre>"


def test_mail_is_sent_with_login_over_starttls(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server, port = mail_server(
        tls_context=context,
        require_starttls=True,
        authenticator=_authenticate,
        auth_required=True,
    )
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtp://me@example.com@127.0.0.1:{port}")
    monkeypatch.setenv("SST_CLOUD_SMTP_PASSWORD", "right")
    status, _, err = sst(*STORE, *MAIL)
    assert status == 1
    assert "the mail server 127.0.0.1 has a certificate that is not trusted" in err
    authority.cert_pem.write_to_path("ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    assert sst(*STORE, *MAIL).status == 0
    assert server.mails[0]["From"] == "me@example.com"
    monkeypatch.setenv("SST_CLOUD_SMTP_PASSWORD", "wrong")
    status, _, err = sst(*STORE, *MAIL)
    assert status == 1
    assert "the mail server 127.0.0.1 rejected the credentials" in err
    assert "wrong" not in err


def test_mail_password_is_not_sent_without_tls(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = mail_server(authenticator=_authenticate, auth_require_tls=False)
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtp://me@example.com@127.0.0.1:{port}")
    monkeypatch.setenv("SST_CLOUD_SMTP_PASSWORD", "right")
    assert sst(*STORE, *MAIL).status == 0, "nobody listens on the way to this very machine"
    monkeypatch.setattr("sst_cloud.notify.mail.is_local", lambda _: False)
    status, _, err = sst(*STORE, *MAIL)
    assert status == 1
    assert "127.0.0.1 offers no TLS, so the password was not sent; try smtps://" in err
    assert len(server.mails) == 1


def test_mail_is_sent_over_implicit_tls(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path("ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    server, port = mail_server(ssl_context=context)
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtps://127.0.0.1:{port}")
    assert sst(*STORE, *MAIL).status == 0
    assert len(server.mails) == 1


def test_refused_recipient_and_unusable_mail_server_are_reported(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = mail_server()
    server.refuses = "you@example.com"
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtp://127.0.0.1:{port}")
    words = ("--send-to", "mailto:you@example.com")
    status, out, err = sst(*STORE, *words)
    assert status == 1
    assert "Home, October 2026" in out
    assert err.endswith("does not accept mail for you@example.com: 550 no such mailbox here\n")
    words_of_two = ("--send-to", "mailto:me@example.com,you@example.com", "--house", "Home")
    status, _, err = sst(*STORE, *words_of_two)
    assert status == 1, "one of two addresses got nothing"
    assert err.endswith("does not accept mail for you@example.com: 550 no such mailbox here\n")
    assert len(server.mails) == 1
    monkeypatch.setenv("SST_CLOUD_SMTP", "smtp://127.0.0.1:1")
    assert "the mail server 127.0.0.1 cannot be reached: " in sst(*STORE, *words).err
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtps://127.0.0.1:{port}")
    assert "does not use implicit TLS on port" in (err := sst(*STORE, *words).err)
    assert "try smtp://" in err


def test_refused_sender_is_reported(
    sst: Run, home: Path, mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = mail_server()
    server.refuses_senders = True
    monkeypatch.setenv("SST_CLOUD_SMTP", f"smtp://127.0.0.1:{port}")
    assert sst(*STORE, "--send-to", "mailto:you@example.com").err == (
        "Error: not sent by mail to you@example.com: "
        "the mail server 127.0.0.1 did not accept the mail: 553 you are not known here\n"
    )


def test_failed_target_does_not_stop_the_others(sst: Run, home: Path) -> None:
    keep = "import sys; open('got.jsonl', 'a').write(sys.stdin.read())"
    ways = ("false", f'{sys.executable} -c "{keep}"', "/no/such/command")
    status, _, err = sst(*STORE, *(word for way in ways for word in ("--send-to", way)))
    assert status == 1
    first, second, third = err.splitlines()
    assert first == "Error: not sent to false: the command failed (exit status 1)"
    assert second.startswith("Sent to ")
    assert third.startswith(
        "Error: not sent to /no/such/command: command '/no/such/command' not found"
    )
    assert len(Path("got.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("mail.example.com", "must look like smtps://me@mail.example.com"),
        ("https://mail.example.com", "must look like smtps://"),
        ("smtp://mail.example.com:x", "must look like smtps://"),
        ("smtps://me:hunter2@mail.example.com", "belongs in SST_CLOUD_SMTP_PASSWORD"),
        ("smtps://me@mail.example.com", "has a user: also set SST_CLOUD_SMTP_PASSWORD"),
    ],
)
def test_invalid_mail_server_urls_are_refused(
    sst: Run, home: Path, monkeypatch: pytest.MonkeyPatch, server: str, message: str
) -> None:
    monkeypatch.setenv("SST_CLOUD_SMTP", server)
    status, _, err = sst(*STORE, *MAIL)
    assert status == 2
    assert message in err
    assert "hunter2" not in err


@pytest.mark.parametrize("address", ["", "me", "me@", "@b", "a@b,,c@d", "a@b%0Ac", "a@b?cc=c@d"])
def test_invalid_mail_addresses_are_refused(
    sst: Run, home: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SST_CLOUD_SMTP", "smtp://127.0.0.1:1")
    status, _, err = sst(*STORE, "--send-to", f"mailto:{address}")
    assert status == 2
    assert "needs an address, like mailto:me@example.com" in err


Replies = Callable[[bytes], Iterable[bytes]]


@pytest.fixture
def raw_mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Replies], None]]:
    """A mail server that answers each line with the result of a function."""
    replies: list[Replies] = []

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                for line in itertools.chain([b""], iter(self.rfile.readline, b"")):
                    for piece in replies[0](line):
                        self.wfile.write(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"smtp://door@me.example@127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("SST_CLOUD_SMTP", address)
        monkeypatch.setenv("SST_CLOUD_SMTP_PASSWORD", SMTP_PASSWORD)
        yield replies.append
        server.shutdown()
        thread.join()


SMTP_PASSWORD = "correct horse & battery"


def polite(line: bytes) -> bytes:
    """The answers of a mail server that accepts everything."""
    if line.startswith(b"ehlo"):
        return b"250-here\r\n250 AUTH PLAIN\r\n"
    if line.startswith(b"data"):
        return b"354 go on\r\n"
    if line.startswith(b"AUTH"):
        return b"235 fine\r\n"
    if line.lower().startswith(b"quit"):
        return b"221 bye\r\n"
    # Within the message, only its last line gets an answer.
    is_command = line[:4].lower() in (b"", b"helo", b"mail", b"rcpt", b".\r\n", b"rset")
    return b"220 fine\r\n" if not line else b"250 fine\r\n" if is_command else b""


@pytest.mark.not_quick
@pytest.mark.parametrize(
    ("command", "form"),
    [
        *((command, "plain") for command in (b"", b"ehlo", b"AUTH", b"rcpt", b"data", b".\r\n")),
        *((b"mail", form) for form in FORMS),
    ],
)
def test_secrets_repeated_by_the_mail_server_are_never_shown(
    sst: Run,
    home: Path,
    raw_mail_server: Callable[[Replies], None],
    command: bytes,
    form: str,
) -> None:
    texts = [FORMS[form](each) for each in (SMTP_PASSWORD, "door@me.example")]
    sent = b""

    def repeat(line: bytes) -> Iterable[bytes]:
        nonlocal sent
        sent += line
        if not (line.lower().startswith(command.lower()) and (command or not line)):
            return [polite(line)]
        words = " ".join(f"{' '.join(texts)} {sent.decode()}".split())
        return [f"554-no: {words[:4000]}\r\n554 {words[:4000]}\r\n".encode()]

    raw_mail_server(repeat)
    status, _, err = sst(*STORE, "--send-to", "mailto:you@example.com", "--house", "Home")
    assert status == 1
    assert "the mail server 127.0.0.1" in err
    assert leaked(err, SMTP_PASSWORD, "door@me.example") == []


@pytest.mark.not_quick
@pytest.mark.parametrize(
    "pieces",
    [
        lambda: itertools.repeat(b"250-and more\r\n" * 100),
        lambda: itertools.repeat(b"and more" * 1000),
        lambda: [b"250-and more\r\n"],
    ],
    ids=["lines", "line", "silence"],
)
def test_endless_mail_reply_is_cut_off(
    sst: Run,
    home: Path,
    raw_mail_server: Callable[[Replies], None],
    monkeypatch: pytest.MonkeyPatch,
    pieces: Callable[[], Iterable[bytes]],
) -> None:
    monkeypatch.setattr("sst_cloud.notify.smtp._TIMEOUT", 0.5)
    raw_mail_server(lambda line: pieces() if line.startswith(b"ehlo") else [polite(line)])
    tracemalloc.start()
    try:
        status, _, err = sst(*STORE, "--send-to", "mailto:you@example.com", "--house", "Home")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == 1
    assert "the mail server 127.0.0.1 did not" in err
    assert peak < 32_000_000


@pytest.mark.not_quick
def test_slow_mail_reply_times_out(
    sst: Run,
    home: Path,
    raw_mail_server: Callable[[Replies], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte arrives in time, but the reply never ends."""
    monkeypatch.setattr("sst_cloud.notify.smtp._TIMEOUT", 0.5)
    finished = threading.Event()

    def trickle(line: bytes) -> Iterator[bytes]:
        while not finished.wait(0.05):
            yield b"x"

    raw_mail_server(lambda line: trickle(line) if line.startswith(b"ehlo") else [polite(line)])
    status, _, err = sst(*STORE, "--send-to", "mailto:you@example.com", "--house", "Home")
    finished.set()
    assert status == 1
    assert "timed out" in err


def test_non_ascii_mail_password_is_refused(
    sst: Run,
    home: Path,
    raw_mail_server: Callable[[Replies], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw_mail_server(lambda line: [polite(line)])
    monkeypatch.setenv("SST_CLOUD_SMTP_PASSWORD", "пароль")
    status, _, err = sst(*STORE, "--send-to", "mailto:you@example.com", "--house", "Home")
    assert status == 1
    assert "accepts only a user and a password in ASCII" in err
    assert "пароль" not in err


def test_invalid_mail_login_challenge_is_an_error(
    sst: Run, home: Path, raw_mail_server: Callable[[Replies], None]
) -> None:
    def challenge(line: bytes) -> Iterable[bytes]:
        if line.startswith(b"AUTH"):
            return [b"334 x\r\n"]
        return [polite(line).replace(b"PLAIN", b"CRAM-MD5")]

    raw_mail_server(challenge)
    status, _, err = sst(*STORE, "--send-to", "mailto:you@example.com", "--house", "Home")
    assert status == 1
    assert "did not respond as a mail server does" in err
