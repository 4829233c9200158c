"""The command `sst-cloud`."""

import sys
from collections.abc import Sequence

from sst_cloud.extras import require


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    require("the command line", "click", "platformdirs", "rich", extra="cli", error=SystemExit)
    from .app import run  # noqa: PLC0415

    sys.exit(run(args))
