"""Where a step has its provenance recorded: `begin` before its command, `end` after it, and why not, in words.

A step does this in its own process, or the notary of a local run does it for all of the run's steps.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from atlas.errors import AtlasError, StateError, StepError
from atlas.statement import NO_EVIDENCE
from atlas_components import fault, notary, pod
from atlas_components.privacy import CONFIDENTIAL, SECRET, Privacy

if TYPE_CHECKING:
    from atlas.home import Home
    from atlas.keys import Issuer

Refusal = tuple[str, str]
"""Why provenance is not recorded, and what to do about it; the first is empty if it is."""
FLAGS = ("--executor-input", "--component", "--image", "--code")
OPTIONAL = ("--evidence", "--compat", SECRET, CONFIDENTIAL)

EVIDENCE = "ATLAS_EVIDENCE"
"""Names the provider of evidence, where neither the pipeline nor the pod's annotation does."""
ALLOWED = "allowed"
UNATTESTED = "ATLAS_UNATTESTED"
"""`allowed` lets a step go on whose provider fails; it is recorded as unattested."""

_USAGE = "this is put before a step's command by `atlas kfp instrument`; it is not meant to be typed"


class Signer(threading.Thread):
    """Loads the signing libraries and the authority while something else goes on."""

    def __init__(self, home: "Home") -> None:
        super().__init__(daemon=True)
        self._home = home
        self._issuer: Issuer | None = None
        self._error: Exception | None = None
        self._loaded: tuple[int, int] | None = None

    def run(self) -> None:
        try:
            import atlas.manifest.emit  # noqa: F401, PLC0415

            self._load()
        except Exception as error:
            self._error = error

    def result(self) -> "Issuer":
        """The authority.

        Raises:
            Exception: whatever kept it from being loaded.
        """
        self.join()
        if self._error is None and self._loaded != self._stamp():
            self._load()  # another authority has taken its place
        if self._issuer is None:
            raise self._error or StateError("the signing authority could not be loaded")
        return self._issuer

    def _load(self) -> None:
        self._loaded = self._stamp()
        self._issuer = self._home.issuer()

    def _stamp(self) -> tuple[int, int]:
        """Changes when the authority does."""
        found = (self._home.path / "ca.key").stat()
        return found.st_ino, found.st_mtime_ns


class Desk:
    """Records one step."""

    def __init__(self, home: "Home | None" = None, signer: Signer | None = None) -> None:
        """Begin.

        Args:
            home: where to sign; found as the environment says if there is none.
            signer: one for this home that was started before.
        """
        self._home = home
        self._signer = signer
        self._begun: notary.Begun | None = None

    def begin(self, argv: Sequence[str], environment: Mapping[str, str]) -> Refusal:
        """Take the arguments of `atlas-run`; the command must not start if this refuses."""
        return _in_words(lambda: self._begin(argv, environment))

    def end(self, exit_code: int) -> Refusal:
        """Record what the command did; the step must fail if this refuses."""
        return _in_words(lambda: self._end(exit_code))

    def _begin(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        order = parse(argv, environment)
        self._home = _checked(self._home or _found())
        self._begun = notary.begin(order, environment, self._home)
        if self._signer is None:
            self._signer = Signer(self._home)
            self._signer.start()
        if self._home.key_uri:
            self._signer.result()  # a token that refuses does so before the command, which may run for hours

    def _end(self, exit_code: int) -> None:
        if self._begun is None or self._home is None or self._signer is None:
            raise StateError("this step has not begun")
        notary.end(self._begun, exit_code, self._home, self._signer.result())


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> notary.Order:
    """Read the order from the arguments before the user's command.

    Raises:
        StepError: if they are not what `instrument` writes, or there is no command.
    """
    end = argv.index("--") if "--" in argv else len(argv)
    flags = argv[:end]
    given = dict(zip(flags[::2], flags[1::2], strict=False))
    known = set(FLAGS) <= given.keys() <= {*FLAGS, *OPTIONAL}
    if len(given) * 2 != len(flags) or not known or not argv[end + 1 :]:
        # the arguments are not shown: parameters are among them, and some are secret
        lacking = ", ".join(sorted(set(FLAGS) - given.keys()))
        why = f"without {lacking}" if lacking else f"{len(flags)} before the command"
        raise StepError(f"these arguments are not those of an instrumented step: {why}", mend=_USAGE)
    if not re.fullmatch("[0-9a-f]{64}", given["--code"]):
        raise StepError("--code is not a SHA-256 digest", mend=_USAGE)
    return notary.Order(
        given["--executor-input"],
        given["--component"],
        given["--image"],
        given["--code"],
        _evidence(given.get("--evidence", ""), environment),
        _unattested(environment.get(UNATTESTED, "")),
        Privacy.of_flags(given),
    )


def _unattested(value: str) -> bool:
    """Whether a step whose provider fails may go on.

    Raises:
        StepError: if it is said in other words than there are.
    """
    if value not in ("", ALLOWED):
        raise StepError(f"{UNATTESTED} is {value[:40]!r}", mend=f"unset it, or say {UNATTESTED}={ALLOWED}")
    return value == ALLOWED


def _evidence(ordered: str, environment: Mapping[str, str]) -> str:
    """The provider that is asked for. Whoever says one says the same: nobody's word goes before another's.

    Raises:
        StepError: if two differ.
    """
    said = {
        "the pipeline orders evidence of": ordered,
        f"the pod's annotation {pod.ANNOTATION} says": environment.get(pod.VARIABLE, ""),
        f"{EVIDENCE} says": environment.get(EVIDENCE, ""),
    }
    choices = {name for name in said.values() if name}
    if len(choices) > 1:
        words = [f"{who} {name[:40]!r}" for who, name in said.items() if name]
        raise StepError(", and ".join(words), mend="let them name the same provider, or only one of them any")
    return choices.pop() if choices else NO_EVIDENCE


def _in_words(action: Callable[[], None]) -> Refusal:
    try:
        action()
    except AtlasError as error:
        return str(error), error.mend
    except Exception as error:  # a step's log is no place for a traceback
        return fault.describe(error), fault.MEND
    return "", ""


def _found() -> "Home":
    from atlas.home import find_home  # noqa: PLC0415  nothing of it is needed to refuse arguments

    return find_home()


def _checked(home: "Home") -> "Home":
    """See that the home's key can be read: better now than after hours of training."""
    key = home.path / "ca.key"
    try:
        with key.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise StateError(
            f"{key}: cannot be read: {error.strerror}", mend="restore it, or grant this user the right"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise StateError(f"{key}: others may read this key", mend=f"chmod 600 {key}")
    if not os.access(home.inbox, os.W_OK | os.X_OK):
        raise StateError(f"{home.inbox}: this user may not write there", mend="grant this user the right")
    return home
