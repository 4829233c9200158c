"""Run a function's handler once for every line that comes in; print what it returns."""

import json
import sys


class Context:
    """The context that Lambda passes to a function."""

    @staticmethod
    def get_remaining_time_in_millis():
        """The maximum of Lambda."""
        return 900_000


sys.path.insert(0, sys.argv[1])
from handler import handler  # noqa: E402  the folder has to be on the path

for _ in sys.stdin:
    print(json.dumps(handler({}, Context())), flush=True)
