"""Fetching collateral from a PCCS, or from Intel's PCS (*Provisioning Certification Service API*, version 4).

The address is configured, never taken from evidence. The service is believed in nothing: `check_collateral` verifies
what it served before anybody sees it, and holds it against what was asked for and what was seen before. A service can
thus refuse, but not deceive.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from cryptography import x509

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.evidence.tdx.check import check_collateral
from atlas.evidence.tdx.collateral import Collateral
from atlas.web import Answer, Client, address_of, tls

INTEL_PCS = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

_ROOT_CRL = "/sgx/certification/v4/rootcacrl"
_NO_PCCS = f"if the service is no PCCS, give the address of the root's list (root_crl_url): {INTEL_ROOT_CRL}"
_UNKNOWN = "check the address and the FMSPC; a PCCS knows only the platforms that it was told of"


@dataclass(frozen=True)
class Service:
    """Where collateral comes from. What is wrong with it is said at once, as an `InputError`."""

    url: str
    """Of a PCCS or of Intel's PCS, without the paths of the API: `https://pccs.example:8081`."""
    root_crl_url: str = ""
    """Of the root's revocation list, which Intel's PCS does not serve. Empty: the service is asked, as of a PCCS."""
    ca_file: Path | None = None
    """Authorities (PEM) that vouch for the service, in place of those of the system."""
    timeout: float = 10.0
    """Seconds for one request as a whole, further tries included. There are four."""

    def __post_init__(self) -> None:
        if address_of(self.url).query:
            raise InputError(
                f"{self.url}: the paths of the API cannot be appended", mend="leave out what follows the ?"
            )
        if self.root_crl_url:
            address_of(self.root_crl_url)
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise InputError(f"a timeout of {self.timeout} s", mend="give the seconds that a request may take")


def fetch_collateral(
    service: Service,
    fmspc: str,
    ca: str,
    *,
    root: x509.Certificate,
    now: dt.datetime,
    known: Iterable[Collateral] = (),
) -> Collateral:
    """Fetch today's collateral of one kind of platform, and verify it.

    Args:
        service: whom to ask.
        fmspc: the kind of platform, 12 hex digits.
        ca: who certifies such platforms: `platform` or `processor`.
        root: what vouches for platforms and collateral alike.
        now: the time of day.
        known: what was fetched before.

    Raises:
        InputError: if what is asked for cannot be.
        FetchError: if the service could not be asked.
        Rejected: as `check_collateral`, or if an answer is not of the API's form.
    """
    if not re.fullmatch("[0-9A-Fa-f]{12}", fmspc):
        raise InputError(f"{fmspc!r} is no FMSPC", mend="give 12 hex digits")
    if ca not in ("platform", "processor"):
        raise InputError(f"{ca!r} is no authority of platforms", mend="give platform or processor")
    client, base = Client(tls(service.ca_file), service.timeout), service.url.rstrip("/")
    tcb = client.get(f"{base}/tdx/certification/v4/tcb?fmspc={fmspc.upper()}", _UNKNOWN)
    qe = client.get(f"{base}/tdx/certification/v4/qe/identity", _UNKNOWN)
    crl = client.get(f"{base}/sgx/certification/v4/pckcrl?ca={ca}&encoding=der", _UNKNOWN)
    root_crl = client.get(service.root_crl_url or base + _ROOT_CRL, _NO_PCCS)
    tcb_info, tcb_signature = _signed(tcb, "tcbInfo")
    identity, identity_signature = _signed(qe, "enclaveIdentity")
    collateral = Collateral(
        pck_crl_issuer_chain=_chain(crl, "SGX-PCK-CRL-Issuer-Chain"),
        root_ca_crl=_der(root_crl.body),
        pck_crl=_der(crl.body),
        tcb_info_issuer_chain=_chain(tcb, "TCB-Info-Issuer-Chain"),
        tcb_info=tcb_info,
        tcb_info_signature=tcb_signature,
        qe_identity_issuer_chain=_chain(qe, "SGX-Enclave-Identity-Issuer-Chain"),
        qe_identity=identity,
        qe_identity_signature=identity_signature,
    )
    return check_collateral(collateral, fmspc, ca, root=root, now=now, known=known)


def needs_refresh(collateral: Collateral, now: dt.datetime) -> bool:
    """Whether it is past half of its life, so that fresh collateral should be there before it ends."""
    return now > collateral.issued + (collateral.expires - collateral.issued) / 2


def _chain(answer: Answer, name: str) -> str:
    """The PEM certificates that a header carries, percent-encoded."""
    values = answer.headers.getlist(name)
    if len(values) != 1:
        _malformed(answer, f"{len(values)} headers {name}")
    try:
        return unquote(values[0], errors="strict")
    except ValueError as error:
        _malformed(answer, f"{name}: {error}")


def _der(body: bytes) -> bytes:
    """A revocation list, which a PCCS writes in hex."""
    try:
        return bytes.fromhex(body.decode("ascii"))
    except ValueError:
        return body


def _signed(answer: Answer, name: str) -> tuple[str, bytes]:
    """The text of a member just as it stands in the answer, since it is what was signed, and its signature."""
    try:
        members = _members(answer.body.decode("utf-8"))
        if members.keys() != {name, "signature"}:
            _malformed(answer, f"its members are not {name} and signature")
        return members[name], bytes.fromhex(json.loads(members["signature"]))
    except (ValueError, TypeError, RecursionError) as error:
        _malformed(answer, str(error))


_SPACE = re.compile(r"[ \t\r\n]*")


def _members(text: str) -> dict[str, str]:
    """The texts of the members of a JSON object (RFC 8259, 4).

    Raises:
        ValueError: if it is none, or has a member twice.
    """
    decoder, found, at = json.JSONDecoder(), dict[str, str](), 0

    def expect(characters: str) -> str:
        nonlocal at
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if (character := text[at : at + 1]) not in characters:
            raise ValueError(f"{characters!r} expected at character {at}")
        at += len(character)
        return character

    def value() -> Any:
        nonlocal at
        start = at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        read, at = decoder.raw_decode(text, start)
        return read, text[start:at]

    separator = expect("{")
    while separator != "}":
        name, _ = value()
        expect(":")
        if not isinstance(name, str) or name in found:
            raise ValueError(f"the member {name!r} stands here twice, or is none")
        found[name] = value()[1]
        separator = expect(",}")
    if text[at:].strip(" \t\r\n"):
        raise ValueError(f"something follows at character {at}")
    return found


def _malformed(answer: Answer, detail: str) -> NoReturn:
    raise Rejected(Code.COLLATERAL_MALFORMED, f"the collateral is malformed: {answer.url}: {detail}")
