"""What can go wrong when Headrace is run: one tree, each error a sentence that says what to do.

DeployError
├── SettingsError        a setting is unknown or has a wrong value; all are listed
└── StackError
    ├── MissingTool      a program or library that the machine lacks
    ├── DiskFull         not enough room under the state folder
    ├── FetchFailed      a download that did not finish (retriable)
    ├── StackBusy        another command holds the stack (retriable)
    ├── StackNotRunning  an address was asked for before `headrace up`
    ├── StateUnreadable  a file of the state folder that cannot be understood
    └── ServiceFailed    a server that did not start, or stopped by itself
"""

from collections.abc import Sequence
from typing import ClassVar


class DeployError(Exception):
    """Root of everything that `deploy` raises on purpose."""

    retriable: ClassVar[bool] = False


class SettingsError(DeployError):
    """The settings are not valid: the message names every key that is unknown or wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("the settings are not valid:\n" + "\n".join(f"  - {f}" for f in faults))


class StackError(DeployError):
    """The local stack could not do what was asked."""


class MissingTool(StackError):
    """A program or library is not on this machine: install it as the message says."""


class DiskFull(StackError):
    """The state folder has too little room: free some, or move it by HEADRACE_STATE_DIR."""


class FetchFailed(StackError):
    """A download did not finish: nothing half-made is left, so run the command again."""

    retriable = True


class StackBusy(StackError):
    """Another `headrace up` or `down` is at work on the same state folder: wait for it."""

    retriable = True


class StackNotRunning(StackError):
    """The stack's addresses are not known: run `headrace up`."""


class StateUnreadable(StackError):
    """A file of the state folder is damaged: the message names it, and removing it is safe."""


class ServiceFailed(StackError):
    """A server of the stack did not start or stopped by itself.

    `service` names it and `log_tail` holds the last lines that it wrote (oldest first).
    """

    def __init__(self, service: str, reason: str, log_tail: Sequence[str] = ()) -> None:
        self.service = service
        self.log_tail = tuple(log_tail)
        shown = "".join(f"\n  {line}" for line in self.log_tail)
        ending = f" The end of its log:{shown}" if shown else " Its log is empty."
        super().__init__(f"{service} {reason}.{ending}")
