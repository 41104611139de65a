"""A platform without any hardware that makes quotes, and the manufacturer that vouches for it.

Everything is signed for real, so whoever verifies it runs the same code as for Intel's; only the root differs, and no
trust root has that one unless somebody puts it there.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.errors import StateError
from atlas.evidence.simulator import pki
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.pki import UnsafeSimulatedSigner
from atlas.evidence.simulator.tcb import QE_ATTRIBUTES, QE_PRODUCT, QE_SIGNER, QE_SVN, UnsafeSimulatedTcb
from atlas.evidence.simulator.td import UnsafeSimulatedTd

if TYPE_CHECKING:
    from atlas.evidence.tdx.collateral import Collateral

USER_DATA = b"ATLAS-SIMULATED".ljust(20, b"\0")
"""What the header of every simulated quote says, where Intel's quoting enclave puts what it likes."""
MACHINE, TD, TCB = UnsafeSimulatedMachine(), UnsafeSimulatedTd(), UnsafeSimulatedTcb()
"""What is simulated unless something else is asked for."""

_WHAT = "Atlas SIMULATED TDX platform, format 1"
_HOLDERS = ("root_ca", "authority", "pck", "signer")
_INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_ECDSA_P256, _TEE_TDX = 2, 0x81
_PCK_CHAIN, _QE_REPORT = 5, 6
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError),
    *(InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension),
)


@dataclass(frozen=True)
class UnsafeSimulatedPlatform:
    """A machine that makes quotes, with all keys of its manufacturer, for tests that need to sign something wrong."""

    machine: UnsafeSimulatedMachine
    root_ca: UnsafeSimulatedSigner
    authority: UnsafeSimulatedSigner
    """Issues certificates of machines."""
    pck: UnsafeSimulatedSigner
    """Certifies the quoting enclave of this machine."""
    signer: UnsafeSimulatedSigner
    """Signs TCB info and the enclave's identity."""
    attestation_key: ec.EllipticCurvePrivateKey
    """Signs quotes."""

    @classmethod
    def new(cls, now: dt.datetime, machine: UnsafeSimulatedMachine = MACHINE) -> "UnsafeSimulatedPlatform":
        """A platform with a root of its own."""
        root = pki.new_root(now)
        authority = root.issue(pki.AUTHORITY, now, ca=True)
        pck = authority.issue(pki.PCK, now, machine=machine)
        return cls(machine, root, authority, pck, root.issue(pki.SIGNER, now), pki.new_key())

    def sibling(self, now: dt.datetime, machine: UnsafeSimulatedMachine) -> "UnsafeSimulatedPlatform":
        """Another machine of the same manufacturer."""
        pck = self.authority.issue(pki.PCK, now, machine=machine)
        return dataclasses.replace(self, machine=machine, pck=pck, attestation_key=pki.new_key())

    @property
    def root(self) -> x509.Certificate:
        """What whoever accepts simulated evidence must pin."""
        return self.root_ca.certificate

    def quote(
        self,
        report_data: bytes,
        td: UnsafeSimulatedTd = TD,
        version: int = 4,
        *,
        user_data: bytes = USER_DATA,
    ) -> bytes:
        """A quote of version 4 (TD 1.0) or 5 (TD 1.5).

        Raises:
            InputError: if a quote of this version cannot say it.
        """
        header = struct.pack("<HHIHH16s20s", version, _ECDSA_P256, _TEE_TDX, 0, 0, _INTEL_QE, user_data)
        signed = header + td.body(report_data, version)
        key, authentication = pki.public_bytes(self.attestation_key), bytes(range(32))
        report = _qe_report(hashlib.sha256(key + authentication).digest())
        chain = self.pck.pem.encode("ascii") + b"\0"
        inner = b"".join(
            (
                report,
                self.pck.sign(report),
                struct.pack("<H", len(authentication)) + authentication,
                struct.pack("<HI", _PCK_CHAIN, len(chain)) + chain,
            )
        )
        outer = struct.pack("<HI", _QE_REPORT, len(inner)) + inner
        signature = pki.sign(self.attestation_key, signed) + key + outer
        return signed + struct.pack("<I", len(signature)) + signature

    def collateral(
        self,
        now: dt.datetime,
        tcb: UnsafeSimulatedTcb = TCB,
        *,
        signer: UnsafeSimulatedSigner | None = None,
        **changes: Any,
    ) -> "Collateral":
        """What the manufacturer says, issued one day before `now`.

        Args:
            now: rounded down to a second.
            tcb: what it says.
            signer: who signs it; the one who should, if None.
            changes: fields of `tcb` to replace.
        """
        from atlas.evidence.tdx.collateral import Collateral  # noqa: PLC0415  a step that asks for a quote needs none

        tcb = dataclasses.replace(tcb, **changes)
        signer = signer or self.signer
        issued = now.replace(microsecond=0) - dt.timedelta(days=1)
        tcb_info, qe_identity = tcb.tcb_info(self.machine, issued), tcb.qe_identity(issued)
        from_root = {self.authority: tcb.authority_revoked, self.signer: tcb.signer_revoked}
        return Collateral(
            pck_crl_issuer_chain=self.authority.pem,
            root_ca_crl=_crl(self.root_ca, tcb.root_crl_number, issued, tcb, from_root),
            pck_crl=_crl(self.authority, tcb.pck_crl_number, issued, tcb, {self.pck: tcb.pck_revoked}),
            tcb_info_issuer_chain=signer.pem,
            tcb_info=tcb_info,
            tcb_info_signature=signer.sign(tcb_info.encode()),
            qe_identity_issuer_chain=signer.pem,
            qe_identity=qe_identity,
            qe_identity_signature=signer.sign(qe_identity.encode()),
        )

    def dump(self) -> bytes:
        """All of it, private keys too, as JSON."""
        holders = {name: getattr(self, name).dump() for name in _HOLDERS}
        key = pki.dump_key(self.attestation_key)
        document = {"what": _WHAT, "machine": self.machine.dump(), **holders, "attestation_key": key}
        return json.dumps(document, indent=1).encode("ascii")

    @classmethod
    def load(cls, raw: bytes) -> "UnsafeSimulatedPlatform":
        """Read what `dump` wrote.

        Raises:
            StateError: if it is anything else.
        """
        try:
            document = json.loads(raw)
            if document.keys() != {"what", "machine", *_HOLDERS, "attestation_key"} or document["what"] != _WHAT:
                raise ValueError(f"it is no {_WHAT}")
            machine = UnsafeSimulatedMachine.load(document["machine"])
            root = UnsafeSimulatedSigner.load(document["root_ca"], None)
            authority = UnsafeSimulatedSigner.load(document["authority"], root)
            pck = UnsafeSimulatedSigner.load(document["pck"], authority)
            signer = UnsafeSimulatedSigner.load(document["signer"], root)
            if pck.certificate.extensions.get_extension_for_oid(machine.extension.oid).value != machine.extension:
                raise ValueError("the certificate is another machine's")
            return cls(machine, root, authority, pck, signer, pki.load_key(document["attestation_key"]))
        except _UNREADABLE as error:
            raise StateError(
                f"the state of the simulated platform cannot be read: {error!r}",
                mend="remove it, and make a new one: what the old one made then verifies no more",
            ) from error


def _qe_report(bound: bytes) -> bytes:
    """The report of the quoting enclave: 384 bytes."""
    return b"".join(
        (
            bytes(48),  # CPUSVN, MISCSELECT, reserved
            QE_ATTRIBUTES,
            hashlib.sha256(b"Atlas SIMULATED quoting enclave").digest(),
            bytes(32),
            QE_SIGNER,
            bytes(96),
            struct.pack("<HH", QE_PRODUCT, QE_SVN),
            bytes(60),
            bound.ljust(64, b"\0"),
        )
    )


def _crl(
    issuer: UnsafeSimulatedSigner,
    number: int,
    issued: dt.datetime,
    tcb: UnsafeSimulatedTcb,
    revoked: dict[UnsafeSimulatedSigner, bool],
) -> bytes:
    return issuer.crl(number, issued, tcb.ends(issued), [who.certificate for who, gone in revoked.items() if gone])
