"""Poll a source, judge, commit to an outbox, deliver to sinks."""

from typing import TYPE_CHECKING, Final

from sst_cloud._lazy import lazily

if TYPE_CHECKING:
    from .collector import Collector, Poll
    from .dead_letters import DeadLetter, DeadLetters
    from .events import Event, EventKind
    from .grid import EVERY
    from .handlers import Handler, handler_from
    from .looking import known_houses, read_status
    from .lookout import Lookout
    from .outbox import Limits, Start
    from .rules import JudgeRules, WatchRules
    from .status import Course, SinkStatus, Status, Stream

__all__ = [
    "EVERY",
    "Collector",
    "Course",
    "DeadLetter",
    "DeadLetters",
    "Event",
    "EventKind",
    "Handler",
    "JudgeRules",
    "Limits",
    "Lookout",
    "Poll",
    "SinkStatus",
    "Start",
    "Status",
    "Stream",
    "WatchRules",
    "handler_from",
    "known_houses",
    "read_status",
]

_HOME_OF: Final = {
    "EVERY": "grid",
    "Collector": "collector",
    "Course": "status",
    "DeadLetter": "dead_letters",
    "DeadLetters": "dead_letters",
    "Event": "events",
    "EventKind": "events",
    "Handler": "handlers",
    "JudgeRules": "rules",
    "Limits": "outbox",
    "Lookout": "lookout",
    "Poll": "collector",
    "SinkStatus": "status",
    "Start": "outbox",
    "Status": "status",
    "Stream": "status",
    "WatchRules": "rules",
    "handler_from": "handlers",
    "known_houses": "looking",
    "read_status": "looking",
}

if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOME_OF)  # who reads the status needs no aiohttp


def __dir__() -> list[str]:
    return __all__
