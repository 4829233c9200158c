from .base import Handler as Handler
from .factory import handler_from as handler_from
from .mail import Message as Message
from .receivers import Receiver as Receiver
from .receivers import receiver_from as receiver_from
from .receivers import report_message as report_message
