"""The example sink of CONTRIBUTING works and passes its tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs.snippets import snippets

ROOT = Path(__file__).parents[2]
BESIDE_OURS = """
import sys
import pytest, sst_cloud_sinks
sst_cloud_sinks.__path__.append(sys.argv[1])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[1]]))
"""


@pytest.mark.not_quick
def test_sink_of_the_contributing_guide_passes_the_contract(tmp_path: Path) -> None:
    blocks = [s.text for s in snippets(ROOT / "CONTRIBUTING.md") if s.language == "python"]
    for name, text in zip(("jsonl.py", "test_jsonl.py"), blocks, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", BESIDE_OURS, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
