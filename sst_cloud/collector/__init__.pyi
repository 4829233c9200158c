from .collector import Collector as Collector
from .collector import Poll as Poll
from .schedule import EVERY as EVERY
from .supervision import Supervisor as Supervisor
