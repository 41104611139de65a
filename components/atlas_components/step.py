"""`atlas-run`: runs the command of a pipeline step and leaves signed provenance of it.

    atlas-run --executor-input JSON --component NAME --image IMAGE --code SHA256
              [--evidence PROVIDER] [--secret NAMES] [--confidential NAMES] -- COMMAND…

Put there by `atlas kfp instrument`. Standard streams and exit code are the command's. If its provenance cannot be
recorded, it says why and fails, and where that can be known beforehand, the command does not start.

This runs once for every step, so it is light: no argument parser, and nothing imported that the beginning does not
need. Where the run has a notary (`ATLAS_NOTARY` names its socket), that one records, and this process loads nothing;
elsewhere the signing libraries are loaded while the command runs.
"""

import gc
import os
import sys

from atlas_components import child, fault

TYPE_CHECKING = False  # as in `typing`, which takes 5 ms
if TYPE_CHECKING:
    from atlas_components.client import Client
    from atlas_components.desk import Desk

FAILED = 2
"""Exit code where provenance could not be recorded, and the command did not fail by itself."""
INTERRUPTED = 130
NOTARY = "ATLAS_NOTARY"


def main(argv: list[str] | None = None) -> int:
    """Run a step.

    Args:
        argv: the arguments after the program's name; those of the process if None, which ends with it then.

    Returns:
        The command's exit code, or `FAILED`.
    """
    if argv is not None:
        return _guarded(argv)
    gc.disable()  # a short life makes no garbage worth collecting
    code = _guarded(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # tearing down the interpreter would cost every step 30 ms and mend nothing


def _guarded(argv: list[str]) -> int:
    try:
        return _step(argv, os.environ.pop(NOTARY, ""))  # it is not for the command
    except KeyboardInterrupt:
        _complain("interrupted; the step's provenance is not recorded")
        return INTERRUPTED
    except Exception as error:  # a step's log is no place for a traceback
        _complain(fault.describe(error), fault.MEND)
        return FAILED


def _step(argv: list[str], notary: str) -> int:
    desk = _desk(notary)
    message, mend = desk.begin(argv, os.environ)
    if message:
        _complain(message, mend)
        return FAILED
    exit_code = child.run(argv[argv.index("--") + 1 :], _complain)
    message, mend = desk.end(exit_code)
    if message:
        _complain(message, mend)
        return exit_code or FAILED  # the command's own failure comes first
    return exit_code


def _desk(notary: str) -> "Client | Desk":
    if notary:
        from atlas_components.client import Client  # noqa: PLC0415  each step loads what it needs

        return Client(notary)
    from atlas_components.desk import Desk  # noqa: PLC0415

    return Desk()


def _complain(message: str, mend: str = "") -> None:
    print(f"atlas-run: {message}", file=sys.stderr)
    if mend:
        print(f"mend: {mend}", file=sys.stderr)


if __name__ == "__main__":
    main()
