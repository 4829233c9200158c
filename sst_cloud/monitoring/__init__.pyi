from .events import Event as Event
from .events import EventKind as EventKind
from .rules import AlarmRules as AlarmRules
from .rules import ValidationRules as ValidationRules
