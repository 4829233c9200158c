"""Poll a source, judge, commit to an outbox, deliver to sinks."""

from typing import TYPE_CHECKING, Final

from sst_cloud._lazy import lazily

if TYPE_CHECKING:
    from .collector import Collector, Poll
    from .dead_letters import DeadLetter, DeadLetters
    from .entries import Limits, Start
    from .events import Event, EventKind
    from .grid import EVERY
    from .handler import Handler
    from .handlers import handler_from
    from .looking import known_houses, read_status
    from .lookout import Lookout
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
    "Handler": "handler",
    "JudgeRules": "rules",
    "Limits": "entries",
    "Lookout": "lookout",
    "Poll": "collector",
    "SinkStatus": "status",
    "Start": "entries",
    "Status": "status",
    "Stream": "status",
    "WatchRules": "rules",
    "handler_from": "handlers",
    "known_houses": "looking",
    "read_status": "looking",
}

if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOME_OF)  # reading the status does not need aiohttp


def __dir__() -> list[str]:
    return __all__
