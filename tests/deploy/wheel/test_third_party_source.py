"""A third-party source, really installed beside the wheel, works like the built-in one."""

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import nbformat
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from nbclient import NotebookClient

from sst_cloud import History, Quantity, open_sink

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "third_party_source"
PASSWORD = "s3cret-of-the-gateway"

Environment = dict[str, str]
Done = subprocess.CompletedProcess[str]

pytestmark = [pytest.mark.source, pytest.mark.not_quick]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the wheel of sst-cloud and the example beside it."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--target", str(folder), *map(str, wheels.iterdir())]
    subprocess.run([*install, str(EXAMPLE)], check=True)
    return folder


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> Environment:
    # What is measured in a copy of the library would count as further files of it.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    variables = {"PYTHONPATH": str(installed), "GATEWAY_PASSWORD": PASSWORD}
    return own | variables | {"SST_CLOUD_STATE": str(tmp_path / "state")}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in another thread, for the gateway: what is tested are other processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def gateway(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """The example's stand-in, with its `url`."""
    spec = importlib.util.spec_from_file_location("stand_in", EXAMPLE / "tests" / "stand_in.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gateway = module.StandIn(PASSWORD)

    async def start() -> web.AppRunner:
        runner = web.AppRunner(gateway.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    gateway.url = "gateway:127.0.0.1:{1}".format(*runner.addresses[0])
    yield gateway
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()


@pytest.fixture
def away() -> str:
    """The URL of a gateway that does not answer."""
    return f"gateway:127.0.0.1:{unused_port()}"


def run(environment: Environment, *args: str) -> Done:
    return subprocess.run(
        [sys.executable, *args],
        env=environment,
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )


def sst(environment: Environment, *args: str) -> Done:
    """What a command of ours printed; none shows the password."""
    done = run(environment, "-m", "sst_cloud.cli", *args)
    assert "s3cret" not in done.stdout + done.stderr
    return done


def output(environment: Environment, *args: str) -> str:
    done = sst(environment, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(environment: Environment, code: str, *args: str) -> str:
    """What a Python program printed; it may await."""
    lines = textwrap.indent(code, "    ")
    whole = f"import asyncio, sys\nasync def main():\n{lines}\nasyncio.run(main())"
    done = run(environment, "-W", "error", "-c", whole, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def name_of(url: str) -> str:
    return url.replace(":", " ", 1)


def test_wheel_is_what_is_tested(environment: Environment, installed: Path) -> None:
    path = program(environment, "import sst_cloud; print(sst_cloud.__path__[0])")
    assert path.strip() == str(installed / "sst_cloud")


def test_example_source_passes_its_own_tests(environment: Environment) -> None:
    done = run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_installed_source_is_listed(environment: Environment) -> None:
    assert "gateway:HOST[:PORT]" in output(environment, "sources")
    sources = json.loads(output(environment, "sources", "--json"))
    (gateway,) = (source for source in sources if source["scheme"] == "gateway")
    assert gateway == {
        "scheme": "gateway",
        "distribution": "sst-cloud-gateway 1.0.0",
        "url": "gateway:HOST[:PORT]",
        "summary": (
            "Reads a gateway in the home network, and switches its valves and thermostats."
        ),
        "commands": True,
        "options": {"timeout": "seconds to wait for an answer, default 3"},
        "secrets": ["GATEWAY_PASSWORD"],
    }


def test_errors_of_a_third_party_source_look_like_builtin_ones(environment: Environment) -> None:
    done = sst(environment, "read", "--source", "gateway:here/there")
    assert done.returncode == 2
    assert done.stderr == "Error: the gateway source needs an address: gateway:HOST[:PORT]\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("tree", ["Flat", "Bathroom", "AquaGuard 4", "Washing machine", "Sink", "WarmFloor T1"]),
        ("houses", ["4711", "Flat"]),
        ("devices", ["Bathroom", "Floor", "WarmFloor T1"]),
        ("counters", ["Cold", "123.456", "Hot", "65.432"]),
        ("read", ['"volume"', '"value":123456', '"wireless_sensor"']),
        ("watch --polls 1", ["Bathroom", "Floor"]),
        ("check", ["ok", "1 house, 2 devices"]),
    ],
)
def test_read(environment: Environment, gateway: Any, command: str, words: list[str]) -> None:
    printed = output(environment, *command.split(), "--source", gateway.url)
    assert [word for word in words if word not in printed] == []


def test_check_says_what_is_wrong(environment: Environment, gateway: Any, away: str) -> None:
    gateway.password = "another"
    done = sst(environment, "check", "--source", gateway.url, "--source", away)
    assert done.returncode == 1
    assert "does not accept the password; set GATEWAY_PASSWORD" in done.stdout
    assert f"{name_of(away)}: failed" in done.stdout


async def store_earlier(store: str) -> None:
    """Totals of an hour before, when 44 litres less had flowed through each meter."""
    hour = timedelta(hours=1)
    async with open_sink(store) as sink:
        assert isinstance(sink, History)
        totals = [r for r in await sink.latest() if r.quantity is Quantity.VOLUME]
        await sink.write([attrs.evolve(r, time=r.time - hour, value=r.value - 44) for r in totals])


def test_collected(environment: Environment, gateway: Any, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'home.db'}"
    output(environment, "collect", "--once", "--source", gateway.url, "--sink", store)
    assert "123.456" in output(environment, "latest", store)
    (source,) = json.loads(output(environment, "status", "--json"))["sources"]
    assert (source["name"], source["error"]) == (name_of(gateway.url), None)
    assert name_of(gateway.url) in output(environment, "status")
    asyncio.run(store_earlier(store))
    usage = json.loads(output(environment, "usage", store, "--by", "day", "--json"))
    assert sum(row["litres"] for row in usage) == 2 * 44  # midnight may be between


def test_valves(environment: Environment, gateway: Any) -> None:
    source = ("--source", gateway.url)
    assert "confirmed" in output(environment, "valves", "close", *source)
    assert gateway.module["valve_open"] is False
    output(environment, "valves", "open", *source)
    assert gateway.module["valve_open"] is True
    gateway.spring_leak()
    done = sst(environment, "valves", "open", *source)
    assert (done.returncode, gateway.module["valve_open"]) == (1, False)
    assert "Bathroom reports a leak, so its valves were not opened" in done.stderr
    output(environment, "valves", "open", "--despite-alarm", *source)
    assert gateway.module["valve_open"] is True
    assert [content["open"] for _, content in gateway.commands] == [False, True, True]


def test_thermostat(environment: Environment, gateway: Any) -> None:
    command = ("thermostat", "set", "--source", gateway.url)
    assert "target 21 °C" in output(environment, *command, "--temperature", "21")
    assert gateway.thermostat["target"] == 21
    done = sst(environment, *command, "--brightness", "5")
    assert done.returncode == 1
    assert "Floor (WarmFloor T1) has no brightness setting" in done.stderr
    assert len(gateway.commands) == 1


def test_second_source_answers_if_the_first_does_not(
    environment: Environment, gateway: Any, away: str
) -> None:
    sources = ("--source", away, "--source", gateway.url)
    done = sst(environment, "tree", *sources)
    assert "Bathroom" in done.stdout
    assert f"cannot read {name_of(away)}" in done.stderr
    assert "confirmed" in output(environment, "valves", "close", *sources)
    assert gateway.module["valve_open"] is False


def test_status_and_metrics_show_both_sources(
    environment: Environment, gateway: Any, away: str, tmp_path: Path
) -> None:
    port = unused_port()
    command = [sys.executable, "-m", "sst_cloud.cli", "collect", "--metrics", str(port)]
    command += ["--source", away, "--source", gateway.url, "--sink", f"csv:{tmp_path / 'home.csv'}"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as collector:
        try:
            assert collector.stderr is not None
            assert any(" readings" in line for line in collector.stderr)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                metrics = answer.read().decode()
            text = output(environment, "status")
            status = json.loads(output(environment, "status", "--json"))
        finally:
            collector.send_signal(signal.SIGTERM)
    assert f'sst_cloud_source_up{{source="{name_of(away)}"}} 0.0' in metrics
    assert f'sst_cloud_source_up{{source="{name_of(gateway.url)}"}} 1.0' in metrics
    assert f"{name_of(away)}, no answer for " in text
    assert f"{name_of(gateway.url)}, answered" in text
    errors = {source["name"]: source["error"] for source in status["sources"]}
    assert "Connection refused" in errors[name_of(away)]
    assert errors[name_of(gateway.url)] is None


def test_in_python(environment: Environment, gateway: Any, tmp_path: Path) -> None:
    code = """
from sst_cloud import open_sink, open_source, readings_from
from sst_cloud.polling import poll_once
async with open_source(sys.argv[1]) as source, open_sink(sys.argv[2]) as sink:
    snapshot = await source.snapshot()
    print(len(readings_from(snapshot)))
    result = await poll_once(source, sink)
    print(result.report.accepted, result.snapshot.source)
"""
    count, poll = program(environment, code, gateway.url, f"csv:{tmp_path / 'a.csv'}").splitlines()
    assert int(count) > 10
    assert poll == f"{count} {name_of(gateway.url)}"


def test_in_a_lambda(environment: Environment, gateway: Any, away: str, tmp_path: Path) -> None:
    code = """
import os
from sst_cloud.serverless import ScheduledPoll
def secret(arn):
    raise AssertionError(arn)
def poll():
    with ScheduledPoll.from_environment(os.environ, secret) as scheduled_poll:
        return scheduled_poll(), scheduled_poll()
first, second = await asyncio.to_thread(poll)
assert first == second
print([(counter["id"], counter["value"]) for counter in first])
"""
    settings = {"SOURCE": f"{away} {gateway.url}", "SINK": f"csv:{tmp_path / 'home.csv'}"}
    assert program(environment | settings, code).strip() == "[(31, 123456), (32, 65432)]"
    assert "AquaGuard 4" in (tmp_path / "home.csv").read_text("utf-8")


def test_in_a_notebook(environment: Environment, gateway: Any, tmp_path: Path) -> None:
    code = f"""
from sst_cloud import open_source
async with open_source({gateway.url!r}) as source:
    snapshot = await source.snapshot()
snapshot
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    folders = {"IPYTHONDIR": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1"}
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, kernel_name="python3", resources=resources).execute(
        env=environment | folders
    )
    html = notebook.cells[0].outputs[0].data["text/html"]
    assert [word for word in ("Flat", "Bathroom", "AquaGuard 4") if word not in html] == []
