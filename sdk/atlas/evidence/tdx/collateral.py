"""Collateral: what the manufacturer says of a kind of platform at a time (Intel PCS API, version 4).

TCB info, identity of the quoting enclave, two revocation lists and the certificates that signed them. It is kept as it
was served, since a document that is written anew no longer has its signature, and it is named by its own digest, so
that a verdict can be repeated years later with exactly what it relied on.
"""

import datetime as dt
import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import dcap_qvl
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.errors import Rejected

MAX_BYTES = 1 << 20
SIGNER = "TCB Signing"
"""How the name of a certificate that may sign TCB info and enclave identities ends."""
SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
"""What only a platform's own certificate has."""

_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_TEXTS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "tcb_info", "qe_identity_issuer_chain", "qe_identity")
_BYTES = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")


@dataclass(frozen=True, order=True)
class Freshness:
    """What never decreases from one collateral of a kind of platform to the next."""

    evaluation: int
    """`tcbEvaluationDataNumber` of the TCB info."""
    qe_evaluation: int
    pck_crl: int
    root_crl: int

    def behind(self, other: "Freshness") -> list[str]:
        """Names of the numbers in which this is older than the other."""
        return [name for name in vars(self) if getattr(self, name) < getattr(other, name)]


@dataclass(frozen=True)
class Collateral:
    """One set of collateral. Nothing of it is verified before `verify.verify_quote`."""

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes

    @cached_property
    def raw(self) -> bytes:
        """Canonical JSON (RFC 8785); binary fields in hex."""
        return dump_canonical({name: v.hex() if isinstance(v, bytes) else v for name, v in self._fields().items()})

    @cached_property
    def sha256(self) -> str:
        """Digest of `raw`, hex: its name."""
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def engine(self) -> "dcap_qvl.QuoteCollateralV3":
        """The form that the verification library takes.

        Of the chain of a document's signer it has the signer alone, as `check_signers` sees it. The root is pinned, so
        the library would only read again, for each quote, what came along as one; and whom the pinned root has not
        certified itself it refuses.
        """
        names = ("tcb_info_issuer_chain", "qe_identity_issuer_chain")
        signers = {name: _pem(chain[0]) for name, chain in zip(names, self._chains[1:], strict=True)}
        return dcap_qvl.QuoteCollateralV3(**self._fields() | signers)

    @cached_property
    def tcb(self) -> dict[str, Any]:
        """The TCB info, read."""
        return _object(self.tcb_info, "the TCB info")

    @cached_property
    def qe(self) -> dict[str, Any]:
        """The quoting enclave's identity, read."""
        return _object(self.qe_identity, "the enclave identity")

    @cached_property
    def platform(self) -> tuple[str, str]:
        """The kind of platform that it is of: FMSPC in lower-case hex, and `platform` or `processor`."""
        return _text(self.tcb, "fmspc").lower(), self._authority

    @cached_property
    def pce_id(self) -> str:
        """PCE-ID in lower-case hex."""
        return _text(self.tcb, "pceId").lower()

    @cached_property
    def freshness(self) -> Freshness:
        """What must not decrease."""
        return Freshness(
            _number(self.tcb, "tcbEvaluationDataNumber"),
            _number(self.qe, "tcbEvaluationDataNumber"),
            _crl_number(self._crls[0]),
            _crl_number(self._crls[1]),
        )

    @cached_property
    def issued(self) -> dt.datetime:
        """When all of it had been issued."""
        dates = [_date(each, "issueDate") for each in (self.tcb, self.qe)]
        return max(*dates, *(crl.last_update_utc for crl in self._crls))

    @cached_property
    def expires(self) -> dt.datetime:
        """When the first part of it is no longer in force."""
        dates = [_date(each, "nextUpdate") for each in (self.tcb, self.qe)]
        ends = [each.not_valid_after_utc for chain in self._chains for each in chain]
        return min(*dates, *ends, *(crl.next_update_utc or crl.last_update_utc for crl in self._crls))

    def check_shape(self) -> None:
        """Read all of it once, so that nothing that cannot be read is kept.

        Raises:
            Rejected: `CollateralMalformed` or `CrlInvalid`.
        """
        _ = self.platform, self.pce_id, self.freshness, self.issued, self.expires

    def check_signers(self) -> None:
        """Refuse documents that were signed with a certificate for something else.

        The library asks only that it leads to the root: a leaked platform key could vouch for its own platform.

        Raises:
            Rejected: `CollateralSignerInvalid` or `CollateralMalformed`.
        """
        _ = self._checked

    @cached_property
    def _checked(self) -> bool:
        for what, chain in (("TCB info", self._chains[1]), ("enclave identity", self._chains[2])):
            if len(chain) != 2 or chain[0].issuer != chain[1].subject or not _signs_collateral(chain[0]):
                found = chain[0].subject.rfc4514_string()
                raise Rejected(
                    Code.COLLATERAL_SIGNER_INVALID, expected=f"… {SIGNER}, of the root", found=f"{what}: {found}"
                )
        return True

    @cached_property
    def _authority(self) -> str:
        name = _common_name(self._chains[0][0])
        kinds = [kind for kind in ("platform", "processor") if f"PCK {kind.capitalize()} CA" in name]
        if len(kinds) != 1:
            _malformed(f"{name!r} is no authority of platforms")
        return kinds[0]

    @cached_property
    def _chains(self) -> tuple[list[x509.Certificate], ...]:
        texts = (self.pck_crl_issuer_chain, self.tcb_info_issuer_chain, self.qe_identity_issuer_chain)
        try:
            chains = tuple(x509.load_pem_x509_certificates(text.encode()) for text in texts)
            for each in itertools.chain(*chains):
                _ = (
                    each.subject,
                    each.issuer,
                    each.not_valid_after_utc,
                    list(each.extensions),
                )  # read only when asked for
        except _UNREADABLE as error:
            _malformed(f"a certificate: {error}")
        return chains

    @cached_property
    def _crls(self) -> tuple[x509.CertificateRevocationList, x509.CertificateRevocationList]:
        try:
            lists = x509.load_der_x509_crl(self.pck_crl), x509.load_der_x509_crl(self.root_ca_crl)
            for each in lists:
                _ = each.issuer, each.last_update_utc, each.next_update_utc, list(each.extensions)
        except _UNREADABLE as error:
            raise Rejected(Code.CRL_INVALID, f"a revocation list cannot be read: {error}") from error
        return lists

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_TEXTS, *_BYTES)}


def parse_collateral(raw: bytes) -> Collateral:
    """Read collateral: a JSON object with just the fields of `Collateral`, binary ones in hex; in any JSON encoding.

    Raises:
        Rejected: `CollateralMalformed` or `CrlInvalid`.
    """
    if len(raw) > MAX_BYTES:
        _malformed(f"{len(raw)} bytes; collateral has at most {MAX_BYTES}")
    try:
        found = json.loads(raw)
        if not isinstance(found, dict) or found.keys() != {*_TEXTS, *_BYTES}:
            _malformed(f"its fields are not {', '.join((*_TEXTS, *_BYTES))}")
        fields: dict[str, Any] = {name: _encodable(found[name]) for name in _TEXTS}
        fields |= {name: bytes.fromhex(found[name]) for name in _BYTES}
    except (ValueError, TypeError, RecursionError) as error:
        _malformed(str(error))
    collateral = Collateral(**fields)
    collateral.check_shape()
    return collateral


def check_not_older(new: Collateral, known: Iterable[Collateral]) -> None:
    """Refuse collateral that is older than some that was seen before of the same kind of platform.

    Raises:
        Rejected: `CollateralRolledBack`.
    """
    for each in known:
        if each.platform == new.platform and (numbers := new.freshness.behind(each.freshness)):
            raise Rejected(
                Code.COLLATERAL_ROLLED_BACK,
                expected=", ".join(f"{name} {getattr(each.freshness, name)} or more" for name in numbers),
                found=", ".join(f"{name} {getattr(new.freshness, name)}" for name in numbers),
            )


def select(candidates: Iterable[Collateral], at: dt.datetime) -> tuple[Collateral, ...]:
    """The collateral to judge a quote of this time by: the freshest then in force, else the first issued after it.

    What was issued later knows more, so it is never the more lenient one. Several are returned where none is the
    freshest in every number, which happens if somebody puts them together from parts: all of them must hold, and the
    last one is the one to report. Candidates are of one kind of platform.
    """
    known = list(candidates)
    if in_force := _freshest(each for each in known if each.issued <= at < each.expires):
        return in_force
    later = [each for each in known if each.issued > at]
    return (min(later, key=lambda each: (each.issued, each.sha256)),) if later else ()


def latest(candidates: Iterable[Collateral], at: dt.datetime) -> tuple[tuple[Collateral, ...], bool]:
    """What was last said by this time, as `select` returns it; and whether it is no longer in force."""
    issued = [each for each in candidates if each.issued <= at]
    in_force = _freshest(each for each in issued if at < each.expires)
    return (in_force, False) if in_force else (_freshest(issued), True)


def _freshest(candidates: Iterable[Collateral]) -> tuple[Collateral, ...]:
    """Those that no other one surpasses."""
    known = sorted(candidates, key=lambda each: (each.freshness, each.issued, each.sha256))
    best: dict[Freshness, Collateral] = {each.freshness: each for each in known}  # of equal ones, the newest
    return tuple(
        each for numbers, each in best.items() if all(numbers == other or other.behind(numbers) for other in best)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _signs_collateral(certificate: x509.Certificate) -> bool:
    oids = {each.oid for each in certificate.extensions}
    return _common_name(certificate).endswith(SIGNER) and SGX_EXTENSION not in oids


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _crl_number(crl: x509.CertificateRevocationList) -> int:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise Rejected(Code.CRL_INVALID, f"a revocation list has no number: {error}") from error


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        _malformed(f"{what}: {error}")
    if not isinstance(found, dict):
        _malformed(f"{what} is not a JSON object")
    return found


def _text(found: dict[str, Any], name: str) -> str:
    if not isinstance(found.get(name), str):
        _malformed(f"{name} is not a text")
    return str(found[name])


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        _malformed(f"{name} is not a number")
    return value


def _date(found: dict[str, Any], name: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(_text(found, name), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    except ValueError as error:
        _malformed(f"{name}: {error}")


def _encodable(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    value.encode()
    return value


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.COLLATERAL_MALFORMED, f"the collateral is malformed: {detail}")
