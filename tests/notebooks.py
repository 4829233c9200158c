"""The notebooks of the examples: run them, and write their outputs anew.

`python tests/notebooks.py` does so for all of them, `make notebooks` for short.
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
IN_THE_DOCS: Final = ("leak",)
"""Cells whose pictures the documentation shows."""

METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that does not change from one machine to the next."""
_NO_NETWORK: Final = """
import ipaddress, socket
connect = socket.socket.connect
def guarded(self, address):
    inet = self.family in (socket.AF_INET, socket.AF_INET6)
    if inet and not ipaddress.ip_address(address[0]).is_loopback:
        raise AssertionError(f"a notebook wanted to connect to {address[0]}")
    connect(self, address)
socket.socket.connect = guarded
"""
"""What a kernel runs first."""


async def executed(file: Path) -> Any:
    """A notebook as it is when all its cells have run, without network, in an empty folder."""
    notebook = nbformat.read(file, as_version=4)
    with TemporaryDirectory() as home:
        startup = Path(home, "profile_default", "startup")
        startup.mkdir(parents=True)
        (startup / "00-no-network.py").write_text(_NO_NETWORK)
        env = os.environ | {"IPYTHONDIR": home, "MPLCONFIGDIR": home, "JUPYTER_PLATFORM_DIRS": "1"}
        # Matplotlib looks for fonts when it is new, and says so where that takes long.
        warm = [sys.executable, "-c", "import matplotlib.font_manager"]
        await asyncio.to_thread(subprocess.run, warm, env=env, check=True, capture_output=True)
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
    """What a notebook's cells put out, as (cell, kind, text); of a picture, only that it is one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                yield cell.id, output.name, _even(output.text)
            for kind, content in sorted(output.get("data", {}).items()):
                yield cell.id, kind, _even(content) if kind.startswith("text/") else ""


def _even(text: str) -> str:
    return " ".join(text.split())


def pictures(notebook: Any) -> dict[str, bytes]:
    """The pictures that a notebook shows, by the cells that draw them."""
    return {
        cell.id: b64decode(output.data["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    }


async def _write_anew() -> None:
    for file in ALL:
        notebook = await executed(file)
        nbformat.write(notebook, file)
        for cell, picture in pictures(notebook).items():
            if cell in IN_THE_DOCS:
                (DOCS / f"{cell}.png").write_bytes(picture)
        print(f"{file.name}: {file.stat().st_size / 1000:,.0f} kB")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_write_anew())
