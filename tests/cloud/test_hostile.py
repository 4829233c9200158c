"""Thousands of broken and malicious answers give only our own errors, quickly, in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.source]


def test_hostile_answers_use_little_time_and_memory(
    request: pytest.FixtureRequest, seed: int
) -> None:
    count = request.config.getoption("--hostile-answers")
    program = [sys.executable, str(Path(__file__).with_name("hostile.py")), str(seed), str(count)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout + done.stderr)
    assert done.returncode == 0
    cost = json.loads(done.stdout)
    assert cost["slowest call, processor seconds"] < 20
    assert cost["memory above the first fifty answers, MB"] < 300
