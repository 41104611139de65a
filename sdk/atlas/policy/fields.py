"""How digests, durations and needs are written in a policy."""

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_DURATION = re.compile(r"(\d{1,6})(d|h|m)")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def _hex(value: str) -> str:
    digest = value.removeprefix("sha256:")
    if not value.startswith("sha256:") or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("a digest is written sha256: and 64 lower-case hex digits")
    return digest


def _duration(value: object) -> object:
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a duration is written as a number and d, h or m: 90d, 12h, 30m")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


Sha256 = Annotated[str, AfterValidator(_hex)]
"""Written `sha256:<hex>`; held as hex."""
Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]
"""Written `90d`, `12h` or `30m`."""


class Need(StrEnum):
    """Whether something must be there."""

    REQUIRED = "required"
    OPTIONAL = "optional"
