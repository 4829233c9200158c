"""Run the notebooks of the examples, and store their outputs in them.

`python tools/run_notebooks.py` does so for all of them, `make notebooks` for short.
"""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

FOLDER: Final = Path(__file__).parents[1] / "examples" / "notebooks"
ALL: Final = sorted(FOLDER.glob("*.ipynb"))
DOCS: Final = Path(__file__).parents[1] / "docs" / "notebook"
CELLS_IN_DOCS: Final = ("leak",)
"""Cells whose pictures are part of the documentation."""

METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""The only metadata kept: it is the same on every machine."""
_NO_NETWORK: Final = """
import ipaddress, socket
connect = socket.socket.connect
def guarded(self, address):
    inet = self.family in (socket.AF_INET, socket.AF_INET6)
    if inet and not ipaddress.ip_address(address[0]).is_loopback:
        raise AssertionError(f"a notebook must not connect to {address[0]}")
    connect(self, address)
socket.socket.connect = guarded
"""
"""A kernel runs this first."""


async def execute(file: Path) -> Any:
    """Run all cells of a notebook, without network, in an empty folder; returns the result."""
    notebook = nbformat.read(file, as_version=4)
    with TemporaryDirectory() as home:
        startup = Path(home, "profile_default", "startup")
        startup.mkdir(parents=True)
        (startup / "00-no-network.py").write_text(_NO_NETWORK)
        env = os.environ | {"IPYTHONDIR": home, "MPLCONFIGDIR": home, "JUPYTER_PLATFORM_DIRS": "1"}
        # Matplotlib searches for fonts at its first use, and prints so if that takes long.
        find_fonts = [sys.executable, "-c", "import matplotlib.font_manager"]
        await asyncio.to_thread(
            subprocess.run, find_fonts, env=env, check=True, capture_output=True
        )
        client = NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": home}},
        )
        await client.async_execute(env=env)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return notebook


def texts(notebook: Any) -> Iterator[tuple[str, str, str]]:
    """The outputs of a notebook as (cell, kind, text); the text of a picture is empty."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                yield cell.id, output.name, _normalized(output.text)
            for kind, content in sorted(output.get("data", {}).items()):
                yield cell.id, kind, _normalized(content) if kind.startswith("text/") else ""


def _normalized(text: str) -> str:
    return " ".join(text.split())


def pictures(notebook: Any) -> dict[str, bytes]:
    """The pictures in a notebook, by cell."""
    return {
        cell.id: b64decode(output.data["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    }


async def _run_all() -> None:
    for file in ALL:
        notebook = await execute(file)
        nbformat.write(notebook, file)
        for cell, picture in pictures(notebook).items():
            if cell in CELLS_IN_DOCS:
                (DOCS / f"{cell}.png").write_bytes(picture)
        print(f"{file.name}: {file.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    asyncio.run(_run_all())
