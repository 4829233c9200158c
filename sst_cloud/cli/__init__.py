"""The command `sst-cloud`."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    if any(find_spec(name) is None for name in ("click", "platformdirs", "rich")):
        sys.exit("The command line needs additional packages: pip install 'sst-cloud[cli]'")
    from .app import run  # noqa: PLC0415

    sys.exit(run(args))
