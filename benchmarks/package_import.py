"""Time of `import sst_cloud`, beside that of its dependencies.

The package imports its modules when their names are first used, so the client, which needs most of
them, is measured too.

Measured on an installed wheel, whose modules are compiled, as for users: an editable install
is compiled at every import where PYTHONDONTWRITEBYTECODE is set.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .measure import Benchmark, Figure, Pairs, alternate

PACKAGE_LIMIT = 0.15
CLIENT_LIMIT = 1.2
UNWANTED = ("aioboto3", "boto3", "botocore", "click", "rich", "sqlite3", "typer")

_PROBE = """
import sys
sys.path.insert(0, {folder!r})
from time import perf_counter
started = perf_counter()
import {modules}
seconds = perf_counter() - started
import json
ours = getattr(sys.modules.get("sst_cloud"), "__file__", None)
loaded = sorted(set({unwanted!r}) & set(sys.modules))
print(json.dumps({{"seconds": seconds, "ours": ours, "loaded": loaded}}))
"""


def measure(runs: int) -> Sequence[Figure]:
    """In fresh processes, in turn."""
    with TemporaryDirectory(prefix="sst-cloud-") as folder:
        install(Path(folder))
        probe = partial(_probe, folder)
        ours = probe("sst_cloud")
        if not str(ours["ours"]).startswith(folder):
            raise RuntimeError(f"measured {ours['ours']}, not what was installed into {folder}")

        def pairs(modules: str) -> Pairs:
            return alternate(
                lambda: float(probe(modules)["seconds"]),
                lambda: float(probe("aiohttp, attrs, cattrs")["seconds"]),
                runs,
            )

        package, client = pairs("sst_cloud"), pairs("sst_cloud.cloud.client")
    loaded = ours["loaded"]
    base = "aiohttp, attrs and cattrs"
    return [
        package.figure("import sst_cloud", PACKAGE_LIMIT, "took", base),
        client.figure("import the client", CLIENT_LIMIT, "took", base),
        Figure(
            "modules too many",
            len(loaded),
            0,
            f"loads {', '.join(loaded)}" if loaded else f"none of {', '.join(UNWANTED)}",
        ),
    ]


def install(folder: Path) -> None:
    """Build the wheel and install it, compiled, without its dependencies."""
    root = Path(__file__).parent.parent
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(root))
    subprocess.run([*pip, *build], check=True)
    wheel = next(folder.glob("*.whl"))
    install_arguments = ("install", "--no-deps", "--compile", "--target", str(folder), str(wheel))
    subprocess.run([*pip, *install_arguments], check=True)


def _probe(folder: str, modules: str) -> dict[str, Any]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    probe = _PROBE.format(folder=folder, modules=modules, unwanted=UNWANTED)
    process = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(process.stdout)
    return result


IMPORTING = Benchmark("import", 15, measure)
