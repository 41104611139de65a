"""The form of a policy's rules on evidence, and of reference values (`kind: ReferenceValues`), version v1alpha1."""

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, model_validator

from atlas.document import Strict, parse_document, read_document
from atlas.policy.fields import Duration, Need


def _hex(size: int) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", value):
            raise ValueError(f"must be {2 * size} lower-case hex digits")
        return value

    return AfterValidator(check)


Register = Annotated[str, _hex(48)]
"""SHA-384 in hex, as it stands in the quote."""
Ppid = Annotated[str, _hex(16)]
Status = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
]
"""What Intel says of a platform, best first; `Revoked` can never be allowed."""
Advisory = Annotated[str, Field(pattern=r"^INTEL-SA-[0-9]+$")]
Feature = Literal["dynamicPlatform", "cachedKeys", "smt"]


class Tcb(Strict):
    """How good the platform must be."""

    statuses: tuple[Status, ...] = ("UpToDate",)
    qe_statuses: tuple[Status, ...] = Field(default=("UpToDate",), alias="qeStatuses")
    """Of the quoting enclave."""
    advisories: tuple[Advisory, ...] | None = None
    """Advisories that are accepted; absent: those that come with an allowed status."""
    denied_advisories: tuple[Advisory, ...] = Field(default=(), alias="deniedAdvisories")
    min_evaluation: int = Field(default=0, ge=0, lt=1 << 31, alias="minEvaluation")
    """Least `tcbEvaluationDataNumber` that the platform was judged by."""
    min_date: AwareDatetime | None = Field(default=None, alias="minDate")
    """Earliest date of the level that the platform has reached."""
    grace: Duration = dt.timedelta(0)
    """How long after its level's date a platform that is out of date still counts as one that is not."""


class PlatformRules(Strict):
    """Which machines count."""

    ppids: tuple[Ppid, ...] | None = None
    """Machines by their PPID; absent: any."""
    features: tuple[Feature, ...] = ("dynamicPlatform", "cachedKeys", "smt")
    """What a machine may have of these; every cloud machine that was seen has the first and the last."""


class TdRules(Strict):
    """What the trust domain may be like, beyond what is always refused."""

    pks: StrictBool = False
    perfmon: StrictBool = False
    xfam: tuple[Annotated[str, _hex(8)], ...] | None = None
    """Allowed XFAM values, hex as they stand in the quote; absent: any."""


class RequiredEvent(Strict):
    """Something that the pod's agent must have measured."""

    domain: str
    operation: str
    content: str


class EventLogRules(Strict):
    """What the event log must show."""

    required: StrictBool = False
    events: tuple[RequiredEvent, ...] = ()


class ReferenceValue(Strict):
    """One known-good trust domain. A register that is absent may have any value; one that is given must match."""

    name: str
    mrtd: tuple[Register, ...] | None = None
    mrseam: tuple[Register, ...] | None = None
    rtmr0: tuple[Register, ...] | None = None
    """Depends on memory and processors: better left out."""
    rtmr1: tuple[Register, ...] | None = None
    rtmr2: tuple[Register, ...] | None = None
    rtmr3: tuple[Register, ...] | None = None
    mrconfigid: tuple[Register, ...] | None = None
    mrowner: tuple[Register, ...] | None = None
    mrownerconfig: tuple[Register, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "ReferenceValue":
        if not any(self.model_dump(exclude={"name"}).values()):
            raise ValueError("a reference value must name at least one register")
        return self


class EvidenceRules(Strict):
    """What is asked of the evidence of each step."""

    required: StrictBool = False
    """Whether each step must prove that it ran in a confidential pod. If not, what is wrong with evidence that is
    there is a warning, unless it is forged."""
    roots: tuple[str, ...] = ("intel",)
    """Evidence roots of the trust root that count."""
    allow_simulated: StrictBool = Field(default=False, alias="allowSimulated")
    """Whether evidence that proves nothing will do, if its root is listed too."""
    tcb: Tcb = Tcb()
    platform: PlatformRules = PlatformRules()
    td: TdRules = TdRules()
    reference: tuple[ReferenceValue, ...] | None = None
    """Trust domains that count; absent: any."""
    event_log: EventLogRules = Field(default=EventLogRules(), alias="eventLog")
    gpu: Need = Need.OPTIONAL
    recheck: Need = Need.REQUIRED
    """Whether today's collateral must be known, besides that of the time when the step ran."""

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, value: object) -> object:
        """`evidence: required` is short for `evidence: {required: true}`, and so for `optional`."""
        if isinstance(value, str):
            if value not in tuple(Need):
                raise ValueError("write required, optional, or the rules themselves")
            return {"required": value == Need.REQUIRED}
        return value

    @model_validator(mode="after")
    def _binds(self) -> "EvidenceRules":
        """Rules that refuse nothing must not look as if they did."""
        if self.model_fields_set and "required" not in self.model_fields_set:
            raise ValueError("say `required: true`, or `required: false` if these rules shall only warn")
        return self


class _References(Strict):
    values: tuple[ReferenceValue, ...] = Field(min_length=1)


class _Metadata(Strict):
    name: str


class ReferenceValues(Strict):
    """A whole file of reference values."""

    api_version: Literal["atlas.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["ReferenceValues"]
    metadata: _Metadata
    spec: _References


def load_references(path: Path) -> ReferenceValues:
    """Read a file of reference values.

    Raises:
        InputError: if it cannot be read.
        DocumentError: if it is not one; names the line of each mistake.
    """
    return read_document(path, ReferenceValues)


def parse_references(raw: bytes, name: str = "reference values") -> ReferenceValues:
    """Read reference values from bytes; raises as `load_references`."""
    return parse_document(raw, ReferenceValues, name)
