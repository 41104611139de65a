"""Running the step's own command: same standard streams, same exit code, signals passed on."""

import os
import signal
from collections.abc import Callable
from types import FrameType

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Passed on, unless this process was told to ignore them (as `nohup` does); then the command ignores them too."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes that shells give for a command that cannot be started."""

SECRETS = frozenset({"ATLAS_PKCS11_PIN"})
"""Variables that are for Atlas, and not for the command."""

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these; the command gets the system's own behaviour."""


def run(command: list[str], complain: Callable[[str], None]) -> int:
    """Run a command to its end.

    Args:
        command: its argument vector, not empty.
        complain: called with a line if it cannot be started.

    Returns:
        Its exit code; 128 and the signal's number if a signal ended it; 126 or 127 if it cannot be started.
    """
    child = 0
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child:
            os.kill(child, number)
        else:
            early.append(number)

    forwarded = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in forwarded}
    try:
        try:
            environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
            child = os.posix_spawnp(command[0], command, environment, setsigdef=(*_RESTORED, *forwarded))
        except OSError as error:
            complain(f"{command[0]}: cannot be run: {error.strerror}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        for number in early:
            os.kill(child, number)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        ended, child = child, 0  # once reaped, its number may be another process's
        code = os.waitstatus_to_exitcode(os.waitpid(ended, 0)[1])
        return code if code >= 0 else 128 - code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
