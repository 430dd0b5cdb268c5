"""How logs are cut, the same for every adapter (and written once more in functions.lua)."""

from featurizers.definitions import days

CHECK_EVERY = 16
"""A log is looked at for old entries when its length passes a multiple of this."""

AGREEING = 4
"""So many last entries must be newer before anything counts as old: one event from a wrong clock
does not wipe a log."""

SLACK_MS = days(2)
"""A log is rewritten only when its oldest entry is this much older than retention."""

MAX_ENTRIES = 1_000_000
"""By default a log that reaches this many entries loses its oldest quarter."""
