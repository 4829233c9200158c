"""Sink URLs and the sinks they name."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins import plugin
from sst_cloud import (
    SinkError,
    SinkOptionsError,
    SinkRefusedError,
    UnknownSinkError,
    UnknownSourceError,
    installed_sinks,
    open_history,
    open_sink,
    open_source,
)
from sst_cloud.plugin_url import public_part
from sst_cloud.plugins import declared_secrets
from sst_cloud.sink import Option, SinkURL, retention
from sst_cloud.testing.sink_contract import sample_reading


def test_builtin_sinks_are_installed() -> None:
    distributions = {sink.scheme: sink.distribution.split()[0] for sink in installed_sinks()}
    assert {"csv", "sqlite", "stdout"} <= set(distributions)
    assert distributions["csv"] == "sst-cloud"


@pytest.mark.parametrize("url", ["", "readings.csv", ":x", "a b:c", "1:2"])
def test_invalid_sink_urls_are_refused(url: str) -> None:
    with pytest.raises(SinkOptionsError, match="is not a sink URL"):
        open_sink(url)


def test_an_unknown_sink_names_the_known_ones() -> None:
    with pytest.raises(UnknownSinkError, match=r"no 'carrier-pigeon' sink \(installed: csv, "):
        open_sink("carrier-pigeon:home")


@pytest.mark.parametrize("query", ["format", "=", "format=table&", "&&"])
def test_malformed_options_are_refused(query: str) -> None:
    with pytest.raises(SinkOptionsError):
        open_sink(f"stdout:?{query}")


def test_secrets_in_a_url_are_refused() -> None:
    with pytest.raises(SinkOptionsError, match="secrets are read from the environment") as caught:
        open_sink("stdout:?token=hunter2")
    assert "hunter2" not in str(caught.value)


def test_error_for_an_invalid_url_hides_its_secrets() -> None:
    with pytest.raises(SinkOptionsError) as caught:
        SinkURL.parse("//me:hunter2@host/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sqlite:home.db?tokn=hunter2", "sqlite:home.db"),
        ("home.db?tokn=hunter2", "home.db"),
        ("sqlite:home.db&tokn=hunter2", "sqlite:home.db"),
        ("influxdb:https://host/home#hunter2", "influxdb:https://host/home"),
        ("influxdb:https://me:hun/ter2@host/home", "influxdb:***@host/home"),
        ("hunter2@https://host/home", "***@host/home".replace("host", "https://host")),
        ("me:hunter2@host", "me:***@host"),
        ("//me:hunter2@host/x", "***@host/x"),
        ("sqlite:home.db", "sqlite:home.db"),
        ("nonsense", "nonsense"),
    ],
)
def test_public_part_of_a_wrong_url(text: str, part: str) -> None:
    assert public_part(text) == part


@pytest.mark.parametrize(
    "query", ["token=hunter2", "tokn=hunter2", "hunter2==", "format=table&hunter2=1&hunter2=2"]
)
def test_option_errors_do_not_show_values(query: str) -> None:
    with pytest.raises(SinkOptionsError) as caught:
        open_sink(f"stdout:?{query}")
    assert "hunter2" not in str(caught.value)


def test_the_repr_of_a_url_has_no_secrets() -> None:
    url = SinkURL.parse("x:https://me:hunter2@host/?token=hunter2", {"NAME": "hunter2"})
    assert "hunter2" not in repr(url)
    assert url.secrets["NAME"] == "hunter2"


def test_a_sink_gets_the_secrets_that_it_is_given(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "class Sink:\n"
        "    target, options, guarantee, secrets = '', (), '', ['ASKED']\n"
        "    write = None\n"
        "    def from_url(url):\n"
        "        sink = Sink()\n"
        "        sink.given = url.secrets\n"
        "        return sink\n"
    )
    plugin(plugins, "given-sink", "given = given_sink:Sink", code)
    monkeypatch.setenv("ASKED", "from the environment")
    given: list[Any] = [open_sink("given:", secrets) for secrets in (None, {"ASKED": "x"}, {})]
    assert [sink.given.get("ASKED") for sink in given] == ["from the environment", "x", None]
    for sink in given:
        with pytest.raises(TypeError):
            sink.given["ASKED"] = "other"
    assert SinkURL.parse("given:", {"A": "1"}) == SinkURL.parse("given:", {"A": "2"})


def test_secrets_declared_by_installed_sinks_are_collected(plugins: Path) -> None:
    code = (
        "class Sink:\n"
        "    target, options, guarantee = '', (), ''\n"
        "    from_url = None\n"
        "class One(Sink): secrets = ['FIRST', 'SECOND']\n"
        "class Slip(Sink): secrets = ('THIRD')\n"
        "class Method(Sink): secrets = lambda self: None\n"
    )
    kinds = "\n".join(f"{kind.lower()} = some_sinks:{kind}" for kind in ("One", "Slip", "Method"))
    plugin(plugins, "some-sinks", f"{kinds}\nold = some_sinks:Sink", code)
    plugin(plugins, "broken-sink", "broken = broken_sink:Sink", "raise RuntimeError")
    builtin = {"INFLUXDB_TOKEN", "INFLUXDB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert declared_secrets() >= builtin | {"FIRST", "SECOND", "THIRD"}


@given(st.text(max_size=30) | st.from_regex(r"[a-z]{1,6}:[^?]*\?[a-z=&%]*", fullmatch=True))
def test_any_text_opens_a_sink_or_raises_a_sink_error(text: str) -> None:
    try:
        open_sink(text)
    except SinkError as error:
        message = str(error)
    else:
        message = "fine"
    assert message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12h", timedelta(hours=12)), ("8w", timedelta(weeks=8)), ("10y", timedelta(days=3650))],
)
def test_retention_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert retention(text) == expected


@pytest.mark.parametrize("text", ["", "30", "0d", "-1d", "1.5h", "1m", "1h30m", "9999999y", "٣d"])
def test_other_retentions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time like 12h, 30d or 10y"):
        retention(text)


def test_options_are_converted() -> None:
    url = SinkURL.parse("x:target?n=5&word=a%20b")
    assert url.convert([Option("n", "a number", int), Option("word", "a word")]) == {
        "n": 5,
        "word": "a b",
    }


def test_broken_plugin_fails_only_when_it_is_opened(plugins: Path) -> None:
    plugin(plugins, "broken-sink", "broken = broken_sink:Sink", "raise RuntimeError('oh no')")
    assert "broken" in {sink.scheme for sink in installed_sinks()}
    open_sink("stdout:")
    with pytest.raises(UnknownSinkError, match=r"broken-sink 1\.2 cannot be loaded: .*oh no"):
        open_sink("broken:")


def test_plugin_that_is_not_a_sink_is_refused(plugins: Path) -> None:
    plugin(plugins, "odd-sink", "odd = odd_sink:Sink", "class Sink: pass")
    with pytest.raises(UnknownSinkError, match=r"odd-sink 1\.2 cannot be loaded"):
        open_sink("odd:")


ODD = """
class Base:
    target, options = "", ()

class Failing(Base):
    def from_url(url):
        raise KeyError("http://me:s3cret@host/")

class Empty(Base):
    def from_url(url):
        return None
"""


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("failing", "KeyError: 'http://***@host/'"),
        ("empty", "its from_url returned no source, but NoneType"),
    ],
)
def test_source_that_cannot_be_created_is_an_error(plugins: Path, scheme: str, reason: str) -> None:
    entry_points = "failing = odd_sources:Failing\nempty = odd_sources:Empty"
    plugin(plugins, "odd-sources", entry_points, ODD, "sst_cloud.sources")
    with pytest.raises(UnknownSourceError) as caught:
        open_source(f"{scheme}:")
    assert str(caught.value) == (
        f"the {scheme} source of odd-sources 1.2 cannot be created: {reason}"
    )


def test_two_plugins_with_the_same_name_are_refused(plugins: Path) -> None:
    plugin(plugins, "one-sink", "twice = one_sink:Sink")
    plugin(plugins, "two-sink", "twice = two_sink:Sink")
    with pytest.raises(UnknownSinkError, match=r"one-sink 1\.2 and two-sink 1\.2 both provide"):
        open_sink("twice:")


def test_builtin_sink_wins_over_a_plugin_with_its_name(plugins: Path) -> None:
    plugin(plugins, "greedy-sink", "stdout = greedy_sink:Sink", "raise RuntimeError")
    open_sink("stdout:")


def test_only_the_sink_asked_for_is_imported() -> None:
    code = (
        "import sys, sst_cloud; sst_cloud.open_sink('stdout:'); "
        "print([m for m in sys.modules if m.startswith('sst_cloud_sinks.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['sst_cloud_sinks.base', 'sst_cloud_sinks.stdout']"


@pytest.mark.parametrize("scheme", ["sqlite", "csv"])
async def test_history_is_a_store_that_exists(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}:{tmp_path / 'home'}"
    with pytest.raises(SinkRefusedError, match="does not exist; nothing has been stored there"):
        async with open_history(url):
            pass
    async with open_sink(url) as sink:
        await sink.write([sample_reading()])
    async with open_history(url) as history:
        assert [*await history.latest()] == [sample_reading()]


async def test_history_of_a_sink_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(SinkRefusedError, match="the stdout sink can only be written to, not read"):
        async with open_history("stdout:"):
            pass
