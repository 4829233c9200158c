from .scheduled_poll import ScheduledPoll as ScheduledPoll
