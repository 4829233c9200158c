"""Dockerfile and compose file, as far as they can be tested without Docker."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from sinks.influxdb.servers import binary
from sst_cloud import ManualClock
from sst_cloud.cli.settings import Settings
from sst_cloud.collector.metrics import CollectorHealth, serve_metrics
from sst_cloud.outbox.status import Status

from .conftest import ROOT

SCRIPT: Final = ROOT / ".ci" / "test-image"
WRAPPER: Final = "collect-or-wait.sh"


@attrs.frozen
class Step:
    """An instruction of a Dockerfile."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """Of the exec form: a JSON array."""
        words: list[str] = json.loads(self.value[self.value.index("[") :])
        return words


@pytest.fixture(scope="session")
def steps(home: Path) -> list[Step]:
    with (home / "Dockerfile").open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    return [Step(step["instruction"], step["value"]) for step in structure]


@pytest.fixture(scope="session")
def last_stage(steps: list[Step]) -> list[Step]:
    start = max(number for number, step in enumerate(steps) if step.name == "FROM")
    return steps[start:]


@pytest.fixture(scope="session")
def environment(last_stage: list[Step]) -> dict[str, str]:
    pairs = [word for step in last_stage if step.name == "ENV" for word in step.value.split()]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(scope="session")
def service(home: Path) -> dict[str, Any]:
    content = yaml.safe_load((home / "compose.yaml").read_text())
    service: dict[str, Any] = content["services"]["sst-cloud"]
    return service


def only_step(steps: list[Step], name: str) -> Step:
    (step,) = [step for step in steps if step.name == name]
    return step


def copied(steps: list[Step]) -> list[str]:
    """The files copied from the checkout."""
    copies = [step.value.split() for step in steps if step.name == "COPY"]
    return [
        source for words in copies if not words[0].startswith("--from") for source in words[:-1]
    ]


def test_copied_files_exist_and_are_enough_to_build_the_wheel(
    steps: list[Step], home: Path, tmp_path: Path
) -> None:
    """The wheel is built from nothing but the copied files."""
    allowed = (home / "Dockerfile.dockerignore").read_text().split()
    for name in copied(steps):
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path / "out"), str(tmp_path)], check=True)
    assert [fnmatch(file.name, "sst_cloud-*.whl") for file in (tmp_path / "out").iterdir()] == [
        True
    ]


def test_extras_installed_in_the_image_exist(steps: list[Step]) -> None:
    (install,) = [
        step.value for step in steps if step.name == "RUN" and "pip install" in step.value
    ]
    (extras,) = re.findall(r"'\.\[(.+)\]'", install)
    available = re.findall(r"(?m)^(\w+) = \[", (ROOT / "pyproject.toml").read_text())
    assert {"cli", "metrics"} == set(extras.split(",")) <= set(available)


def test_image_uses_a_supported_python(steps: list[Step]) -> None:
    froms = {step.value.split()[0] for step in steps if step.name == "FROM"}
    (version,) = (re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", image) for image in froms)
    assert version
    assert f"Python :: {version[1]}" in (ROOT / "pyproject.toml").read_text()


def test_image_runs_as_an_unprivileged_user_and_stops_on_sigterm(last_stage: list[Step]) -> None:
    user = only_step(last_stage, "USER").value
    (command,) = [step.value for step in last_stage if step.name == "RUN"]
    assert f"--uid {user} " in command
    assert user.isdecimal()
    assert only_step(last_stage, "STOPSIGNAL").value == "SIGTERM"


def test_image_starts_the_program_from_the_wheel(
    last_stage: list[Step], environment: dict[str, str], home: Path
) -> None:
    shell, script = only_step(last_stage, "ENTRYPOINT").words
    assert shell == "sh"
    assert f"examples/home/{WRAPPER} {script}" in [s.value for s in last_stage if s.name == "COPY"]
    programs = re.findall(r"(?m)([\w-]+) \"\$@\"", (home / WRAPPER).read_text())
    assert set(programs) <= {script.name for script in entry_points(group="console_scripts")}
    venv = environment["PATH"].partition(":")[0].removesuffix("/bin")
    assert f"--from=build {venv} {venv}" in [s.value for s in last_stage if s.name == "COPY"]
    assert only_step(last_stage, "CMD").words[0] == "collect"


def test_state_is_kept_in_the_volume(
    last_stage: list[Step], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = only_step(last_stage, "VOLUME").value
    assert only_step(last_stage, "WORKDIR").value == state
    monkeypatch.setenv("STATE_DIRECTORY", environment["STATE_DIRECTORY"])
    assert Settings().state == Path(state)


@pytest.mark.parametrize(("trouble", "status"), [(None, 0), ("disk full", 1)])
async def test_health_check_of_the_image_reports_health_and_failure(
    last_stage: list[Step], trouble: str | None, status: int
) -> None:
    """The command of the image itself, with another port."""

    async def well() -> Status:
        return Status()

    health = CollectorHealth(
        status=well,
        latest=tuple,
        outbox_error=lambda: trouble,
        every=timedelta(minutes=20),
        clock=ManualClock(),
    )
    port_served = only_step(last_stage, "CMD").words[-1].rpartition(":")[2]
    assert only_step(last_stage, "EXPOSE").value == port_served
    async with serve_metrics(health, "127.0.0.1", 0) as port:
        python, *words = only_step(last_stage, "HEALTHCHECK").words
        assert python == "python"
        words = [word.replace(f":{port_served}/", f":{port}/") for word in words]
        program = await asyncio.create_subprocess_exec(
            sys.executable, *words, stderr=asyncio.subprocess.DEVNULL
        )
        assert await program.wait() == status


def test_compose_file_is_valid(home: Path) -> None:
    command = [binary("docker-compose"), "--file", str(home / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_compose_file_and_image_agree(
    home: Path, service: dict[str, Any], environment: dict[str, str], last_stage: list[Step]
) -> None:
    context = (home / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).samefile(home / "Dockerfile")
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    assert mounts == {
        environment["SST_CLOUD_CONFIG"]: "./collect.toml",
        environment["STATE_DIRECTORY"]: "state",
    }
    assert service["read_only"]
    assert service["secrets"] == ["token"]
    assert environment["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    (port,) = service["ports"]
    assert port.split(":") == ["127.0.0.1", *[only_step(last_stage, "EXPOSE").value] * 2]
    assert int(service["stop_grace_period"].removesuffix("s")) > 5


def test_compose_builds_the_image_and_restarts_it_after_a_reboot(service: dict[str, Any]) -> None:
    """No registry has it; and `on-failure` would not start it with the machine."""
    assert service["pull_policy"] == "build"
    assert service["restart"] == "unless-stopped"


def test_docker_run_command_has_the_options_of_the_compose_file(service: dict[str, Any]) -> None:
    (command,) = re.findall(
        r"(?m)^docker run (?:.*\\\n)+ .*$", (ROOT / "docs" / "docker.md").read_text("utf-8")
    )
    (tried,) = re.findall(r"docker run (--detach --init .*(?:\n .*)+)\)", SCRIPT.read_text())
    words = shlex.split(command.replace("\\\n", " "))
    assert {word for word in words if word.startswith("--")} - set(shlex.split(tried)) == {
        "--name",
        "--restart",
        "--stop-timeout",
        "--publish",
    }
    for option, value in (
        ("--restart", service["restart"]),
        ("--tmpfs", *service["tmpfs"]),
        ("--cap-drop", *service["cap_drop"]),
        ("--security-opt", *service["security_opt"]),
        ("--memory", service["mem_limit"]),
        ("--publish", *service["ports"]),
        ("--stop-timeout", service["stop_grace_period"].removesuffix("s")),
    ):
        assert words[words.index(option) + 1] == value
    assert service["init"]
    assert service["read_only"]
    assert {"--init", "--read-only"} <= set(words)


def test_build_command_in_the_dockerfile_comment_is_right(home: Path) -> None:
    first = (home / "Dockerfile").read_text().splitlines()[0]
    words = shlex.split(first.removeprefix("# "))
    assert words[:3] == ["docker", "build", "-f"]
    assert (ROOT / words[3]).samefile(home / "Dockerfile")


DOCKER: Final = """\
#!/bin/sh
echo "$@" >>"$SEEN"
case $1 in
  run) echo "id-of-$(grep -c '^run' "$SEEN")" ;;
  logs) echo 'export SST_CLOUD_URL=http://127.0.0.1:8043' ;;
  inspect) echo "$HEALTH" ;;
  wait) echo 0 ;;
esac
"""


@pytest.mark.parametrize(("health", "status"), [("healthy", 0), ("starting", 1)])
def test_script_checks_the_image_and_removes_its_containers(
    tmp_path: Path, health: str, status: int
) -> None:
    """With a substitute for `docker` that prints canned output."""
    for name, text in (("docker", DOCKER), ("sleep", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "seen"
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "SEEN": str(log), "HEALTH": health}
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    last = log.read_text().splitlines()[-1]
    assert last == "rm --force --volumes id-of-1 id-of-2"
