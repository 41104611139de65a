"""What the simulated manufacturer says of its platforms: TCB info (version 3) and identity of the quoting enclave.

Both have the form of Intel's PCS API, version 4. What a test asks to be said is said, true or not.
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from atlas.evidence.simulator.machine import UnsafeSimulatedMachine

QE_SVN = 4
QE_SIGNER = hashlib.sha256(b"Atlas SIMULATED quoting enclave signer").digest()
QE_ATTRIBUTES = b"\x11" + bytes(15)
QE_PRODUCT = 2


@dataclass(frozen=True)
class UnsafeSimulatedTcb:
    """The manufacturer's opinion, and the numbers and dates of the documents that carry it."""

    status: str = "UpToDate"
    """Of the one level that there is for the machine."""
    advisories: tuple[str, ...] = ()
    module_levels: tuple[tuple[int, str], ...] = ((5, "UpToDate"), (3, "OutOfDate"))
    """Status of the TDX module from this SVN on, best first. A trust domain of TD 1.5 that was launched by an
    `OutOfDate` module and now runs under a better one has the status `TDRelaunchAdvised`."""
    module_signer: bytes = bytes(48)
    module_attributes: bytes = bytes(8)
    qe_status: str = "UpToDate"
    qe_advisories: tuple[str, ...] = ()
    qe_svn: int = QE_SVN
    qe_signer: bytes = QE_SIGNER
    evaluation: int = 18
    qe_evaluation: int = 18
    pck_crl_number: int = 1
    root_crl_number: int = 1
    pck_revoked: bool = False
    authority_revoked: bool = False
    signer_revoked: bool = False
    fmspc: bytes | None = None
    """The machine's, if None; so are the next three."""
    pce_id: bytes | None = None
    cpu_svn: bytes | None = None
    pce_svn: int | None = None
    level_date: dt.datetime | None = None
    """`tcbDate` of all levels; the day of issue, if None."""
    days: int = 30
    """For which everything is valid from its issue on."""

    def tcb_info(self, machine: UnsafeSimulatedMachine, issued: dt.datetime) -> str:
        """The TCB info, as it is signed."""
        module = {
            "mrsigner": self.module_signer.hex(),
            "attributes": self.module_attributes.hex(),
            "attributesMask": "ff" * 8,
        }
        cpu_svn = machine.cpu_svn if self.cpu_svn is None else self.cpu_svn
        tcb = {
            "sgxtcbcomponents": [{"svn": svn} for svn in cpu_svn],
            "pcesvn": machine.pce_svn if self.pce_svn is None else self.pce_svn,
            "tdxtcbcomponents": [{"svn": svn} for svn in (self.module_levels[0][0], 0, 3, *bytes(13))],
        }
        return _text(
            {
                "id": "TDX",
                "version": 3,
                **self._dates(issued),
                "fmspc": (machine.fmspc if self.fmspc is None else self.fmspc).hex(),
                "pceId": (machine.pce_id if self.pce_id is None else self.pce_id).hex(),
                "tcbType": 0,
                "tcbEvaluationDataNumber": self.evaluation,
                "tdxModule": module,
                "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": self._module_levels(issued)}],
                "tcbLevels": [self._level(tcb, self.status, self.advisories, issued)],
            }
        )

    def qe_identity(self, issued: dt.datetime) -> str:
        """The identity of the quoting enclave, as it is signed."""
        return _text(
            {
                "id": "TD_QE",
                "version": 2,
                **self._dates(issued),
                "tcbEvaluationDataNumber": self.qe_evaluation,
                "miscselect": "00000000",
                "miscselectMask": "ffffffff",
                "attributes": QE_ATTRIBUTES.hex(),
                "attributesMask": "fb" + "ff" * 7 + "00" * 8,
                "mrsigner": self.qe_signer.hex(),
                "isvprodid": QE_PRODUCT,
                "tcbLevels": [self._level({"isvsvn": self.qe_svn}, self.qe_status, self.qe_advisories, issued)],
            }
        )

    def ends(self, issued: dt.datetime) -> dt.datetime:
        """Until when it is valid."""
        return issued + dt.timedelta(days=self.days)

    def _module_levels(self, issued: dt.datetime) -> list[dict[str, Any]]:
        return [self._level({"isvsvn": svn}, status, (), issued) for svn, status in self.module_levels]

    def _level(
        self, tcb: dict[str, Any], status: str, advisories: tuple[str, ...], issued: dt.datetime
    ) -> dict[str, Any]:
        date = _date(self.level_date or issued)
        return {"tcb": tcb, "tcbDate": date, "tcbStatus": status, "advisoryIDs": list(advisories)}

    def _dates(self, issued: dt.datetime) -> dict[str, str]:
        return {"issueDate": _date(issued), "nextUpdate": _date(self.ends(issued))}


def _date(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
