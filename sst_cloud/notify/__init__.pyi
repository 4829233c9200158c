from .base import Handler as Handler
from .factory import handler_from as handler_from
