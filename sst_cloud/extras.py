"""Packages that only one feature needs, and that are installed with an extra."""

from collections.abc import Callable
from importlib.util import find_spec


def require(
    feature: str,
    *packages: str,
    extra: str = "",
    error: Callable[[str], BaseException] = ModuleNotFoundError,
) -> None:
    """Raise `error`, which says what to install, if a package for `feature` is missing.

    That is an extra of this project, or else the packages themselves. Nothing is imported.
    """
    missing = [name.replace("_", "-") for name in packages if find_spec(name) is None]
    if missing:
        target = f"'sst-cloud[{extra}]'" if extra else " ".join(missing)
        raise error(f"{feature} needs {' and '.join(missing)}: pip install {target}")
