"""Collateral that lies: each lie is refused with its own code, however it is served."""

import base64
import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.check import check_collateral
from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from atlas.trust import intel_root
from atlas.web import MAX_BYTES
from unit.evidence.fetch_support import YEARS, World, honest, made, rejects
from unit.evidence.pccs_support import (
    FMSPC,
    NOW,
    SGX,
    Holder,
    manufacturer,
    pages,
)


def altered(collateral: Collateral, part: str, content: Any) -> Collateral:
    changes: dict[str, Any] = {part: content}
    return replace(collateral, **changes)


def reserialised(text: str) -> str:
    return json.dumps(json.loads(text))


def changed(content: Any, at: int, flip: int = 1) -> Any:
    """The same with one byte, or character, replaced by another of its kind."""
    if isinstance(content, bytes):
        at %= len(content)
        return content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    return content[:at] + chr(ord(content[at]) ^ flip) + content[at + 1 :]


def swapped_der(pem: str, index: int, at: int) -> str:
    """A chain in which one byte of the DER of one certificate, counted from its end, is another."""
    chain = [each.public_bytes(serialization.Encoding.DER) for each in x509.load_pem_x509_certificates(pem.encode())]
    chain[index] = changed(chain[index], len(chain[index]) + at)
    return "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(each).decode()}\n-----END CERTIFICATE-----\n" for each in chain
    )


def lie_other_signer(**changes: Any) -> Collateral:
    maker = manufacturer()
    return maker.collateral(signer=maker.root.issue(**{"name": "Test TCB Signing", **changes}))


def lie_stranger() -> Collateral:
    """Somebody whose certificates bear the same names."""
    return type(manufacturer()).new().collateral()


def lie_pck_leaf() -> Collateral:
    maker = manufacturer()
    return maker.collateral(signer=maker.platform_ca.issue("Intel SGX PCK Certificate", extensions=(SGX,)))


def lie_half_stranger(part: str) -> Collateral:
    return altered(honest(), part, getattr(lie_stranger(), part))


def lie_swapped() -> Collateral:
    made = manufacturer().collateral()
    return replace(
        made, tcb_info_issuer_chain=made.pck_crl_issuer_chain, pck_crl_issuer_chain=made.tcb_info_issuer_chain
    )


def lie_without_root(part: str) -> Collateral:
    made = manufacturer().collateral()
    [first, _] = re.findall("-----BEGIN.*?END CERTIFICATE-----\n", getattr(made, part), re.DOTALL)
    return altered(made, part, first)


def lie_namesake() -> Collateral:
    """A chain whose second certificate bears the root's name and signature, and another key."""
    maker = manufacturer()
    namesake = maker.root.issue(maker.root.name, ca=True).certificate
    chain = Holder(maker.signer.key, (maker.signer.certificate, namesake))
    return maker.collateral(qe_identity_issuer_chain=chain.pem)


def lie_rsa_list() -> Collateral:
    holder = Holder(rsa.generate_private_key(65537, 2048), manufacturer().platform_ca.chain)
    return manufacturer().collateral(pck_crl=holder.crl())


def lie_curve() -> Collateral:
    maker = manufacturer()
    return maker.collateral(
        tcb_info_issuer_chain=maker.root.issue("Test TCB Signing", key=ec.generate_private_key(ec.SECP384R1())).pem
    )


def lie_rsa() -> Collateral:
    """A key that cannot make such signatures, in a certificate that is otherwise right."""
    maker = manufacturer()
    holder = maker.root.issue("Test TCB Signing", key=rsa.generate_private_key(65537, 2048))
    return maker.collateral(tcb_info_issuer_chain=holder.pem)


def lie_authority(name: str) -> Collateral:
    maker = manufacturer()
    holder = maker.root.issue(name, ca=True)
    return maker.collateral(pck_crl_issuer_chain=holder.pem, pck_crl=holder.crl())


def lie_revoked(holder: str) -> Collateral:
    maker = manufacturer()
    return maker.collateral(root_ca_crl=maker.root.crl(revoked=[getattr(maker, holder).certificate]))


def edited(part: str, old: str, new: str) -> Collateral:
    text = getattr(honest(), part)
    assert text.count(old) == 1
    return altered(honest(), part, text.replace(old, new))


def lie_processor() -> Collateral:
    maker = manufacturer()
    return maker.collateral(pck_crl_issuer_chain=maker.processor_ca.pem, pck_crl=maker.processor_ca.crl())


def broken(part: str, at: int) -> Callable[[], Collateral]:
    return lambda: altered(honest(), part, changed(getattr(honest(), part), at))


def broken_chain(part: str, index: int, at: int) -> Callable[[], Collateral]:
    return lambda: altered(honest(), part, swapped_der(getattr(honest(), part), index, at))


OTHER_DATES = {"issueDate": "2025-06-01T00:00:00Z", "nextUpdate": "2025-06-10T00:00:00Z"}


FUTURE_DATES = {"issueDate": "2025-06-21T00:00:00Z", "nextUpdate": "2025-07-10T00:00:00Z"}


OLD, NEW = dt.timedelta(days=40), dt.timedelta(days=-1)


LIES: dict[str, tuple[Code, Callable[[], Collateral]]] = {
    # of something else
    "other FMSPC": (Code.COLLATERAL_MISMATCH, made(tcb={"fmspc": "00806F050000"})),
    "other authority": (Code.COLLATERAL_MISMATCH, lie_processor),
    "SGX TCB info": (Code.COLLATERAL_MISMATCH, made(tcb={"id": "SGX"})),
    "SGX enclave identity": (Code.COLLATERAL_MISMATCH, made(qe={"id": "QE"})),
    "no id": (Code.COLLATERAL_MISMATCH, made(tcb={"id": None})),
    # edited
    "TCB info written anew": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        lambda: altered(honest(), "tcb_info", reserialised(honest().tcb_info)),
    ),
    "identity written anew": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        lambda: altered(honest(), "qe_identity", reserialised(honest().qe_identity)),
    ),
    "another evaluation number": (Code.COLLATERAL_SIGNATURE_INVALID, lambda: edited("tcb_info", ":17}", ":18}")),
    "another FMSPC written in": (Code.COLLATERAL_SIGNATURE_INVALID, lambda: edited("tcb_info", "B0C0", "B0C1")),
    "a date prolonged": (Code.COLLATERAL_SIGNATURE_INVALID, lambda: edited("qe_identity", "2025-07", "2026-07")),
    "a byte of the TCB info's signature": (Code.COLLATERAL_SIGNATURE_INVALID, broken("tcb_info_signature", 40)),
    "a byte of the identity's signature": (Code.COLLATERAL_SIGNATURE_INVALID, broken("qe_identity_signature", 3)),
    "signatures swapped": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        lambda: altered(honest(), "tcb_info_signature", honest().qe_identity_signature),
    ),
    "a signature cut": (Code.COLLATERAL_SIGNATURE_INVALID, made(tcb_info_signature=bytes(63))),
    "a signature of zeros": (Code.COLLATERAL_SIGNATURE_INVALID, made(tcb_info_signature=bytes(64))),
    "no signature": (Code.COLLATERAL_SIGNATURE_INVALID, made(qe_identity_signature=b"")),
    "a byte of the list of platforms": (Code.CRL_INVALID, broken("pck_crl", -1)),
    "a byte of the list of the root": (Code.CRL_INVALID, broken("root_ca_crl", -1)),
    "a byte of the signer's certificate": (
        Code.COLLATERAL_SIGNER_INVALID,
        broken_chain("tcb_info_issuer_chain", 0, -1),
    ),
    "a byte of the identity signer's certificate": (
        Code.COLLATERAL_SIGNER_INVALID,
        broken_chain("qe_identity_issuer_chain", 0, -1),
    ),
    "a byte of the authority's certificate": (
        Code.COLLATERAL_SIGNER_INVALID,
        broken_chain("pck_crl_issuer_chain", 0, -1),
    ),
    "a byte of the root in the signer's chain": (
        Code.COLLATERAL_SIGNER_INVALID,
        broken_chain("tcb_info_issuer_chain", 1, -1),
    ),
    "a byte of the root in the authority's chain": (
        Code.COLLATERAL_SIGNER_INVALID,
        broken_chain("pck_crl_issuer_chain", 1, -1),
    ),
    # signed by somebody else
    "PCK leaf": (Code.COLLATERAL_SIGNER_INVALID, lie_pck_leaf),
    "PCK leaf with the name of a signer": (
        Code.COLLATERAL_SIGNER_INVALID,
        lambda: lie_other_signer(extensions=(SGX,)),
    ),
    "authority of platforms": (
        Code.COLLATERAL_SIGNER_INVALID,
        lambda: manufacturer().collateral(signer=manufacturer().platform_ca),
    ),
    "the root itself": (
        Code.COLLATERAL_SIGNER_INVALID,
        lambda: manufacturer().collateral(signer=manufacturer().root),
    ),
    "chains swapped": (Code.COLLATERAL_MALFORMED, lie_swapped),
    "another root": (Code.COLLATERAL_SIGNER_INVALID, lie_stranger),
    "another root for the TCB info": (
        Code.COLLATERAL_SIGNER_INVALID,
        lambda: lie_half_stranger("tcb_info_issuer_chain"),
    ),
    "another root for the identity": (
        Code.COLLATERAL_SIGNER_INVALID,
        lambda: lie_half_stranger("qe_identity_issuer_chain"),
    ),
    "another root for platforms": (Code.COLLATERAL_SIGNER_INVALID, lambda: lie_half_stranger("pck_crl_issuer_chain")),
    "signer without the root": (Code.COLLATERAL_SIGNER_INVALID, lambda: lie_without_root("tcb_info_issuer_chain")),
    "authority without the root": (Code.COLLATERAL_SIGNER_INVALID, lambda: lie_without_root("pck_crl_issuer_chain")),
    "key on another curve": (Code.COLLATERAL_SIGNER_INVALID, lie_curve),
    "a namesake of the root": (Code.COLLATERAL_SIGNER_INVALID, lie_namesake),
    "RSA key": (Code.COLLATERAL_SIGNER_INVALID, lie_rsa),
    "signer revoked": (Code.COLLATERAL_SIGNER_INVALID, lambda: lie_revoked("signer")),
    "authority revoked": (Code.COLLATERAL_SIGNER_INVALID, lambda: lie_revoked("platform_ca")),
    # lists of somebody else
    "list of another root": (Code.CRL_INVALID, lambda: lie_half_stranger("root_ca_crl")),
    "list of another authority": (
        Code.CRL_INVALID,
        lambda: manufacturer().collateral(pck_crl=manufacturer().processor_ca.crl()),
    ),
    "list in another authority's name": (
        Code.CRL_INVALID,
        lambda: manufacturer().collateral(
            pck_crl=manufacturer().processor_ca.crl(issuer=manufacturer().platform_ca.certificate.subject)
        ),
    ),
    "list signed with RSA": (Code.CRL_INVALID, lie_rsa_list),
    "lists swapped": (
        Code.CRL_INVALID,
        lambda: manufacturer().collateral(
            pck_crl=manufacturer().root.crl(), root_ca_crl=manufacturer().platform_ca.crl()
        ),
    ),
    "no list": (Code.CRL_INVALID, made(root_ca_crl=b"")),
    "no authority of platforms": (Code.COLLATERAL_MALFORMED, lambda: lie_authority("PCK Other CA")),
    "authority of both": (Code.COLLATERAL_MALFORMED, lambda: lie_authority("PCK Platform CA PCK Processor CA")),
    # of another time
    "all expired": (Code.COLLATERAL_EXPIRED, made(issued=NOW - OLD)),
    "TCB info expired": (Code.COLLATERAL_EXPIRED, made(tcb=OTHER_DATES)),
    "identity expired": (Code.COLLATERAL_EXPIRED, made(qe=OTHER_DATES)),
    "list of platforms expired": (
        Code.COLLATERAL_EXPIRED,
        lambda: manufacturer().collateral(pck_crl=manufacturer().platform_ca.crl(issued=NOW - OLD)),
    ),
    "list of the root expired": (
        Code.COLLATERAL_EXPIRED,
        lambda: manufacturer().collateral(root_ca_crl=manufacturer().root.crl(issued=NOW - OLD)),
    ),
    "signer expired": (Code.COLLATERAL_EXPIRED, lambda: lie_other_signer(begins=NOW - YEARS)),
    "all in the future": (Code.COLLATERAL_NOT_YET_VALID, made(issued=NOW - NEW)),
    "TCB info in the future": (Code.COLLATERAL_NOT_YET_VALID, made(tcb=FUTURE_DATES)),
    "identity in the future": (Code.COLLATERAL_NOT_YET_VALID, made(qe=FUTURE_DATES)),
    "list of platforms in the future": (
        Code.COLLATERAL_NOT_YET_VALID,
        lambda: manufacturer().collateral(pck_crl=manufacturer().platform_ca.crl(issued=NOW - NEW)),
    ),
    "list of the root in the future": (
        Code.COLLATERAL_NOT_YET_VALID,
        lambda: manufacturer().collateral(root_ca_crl=manufacturer().root.crl(issued=NOW - NEW)),
    ),
    "signer in the future": (Code.COLLATERAL_NOT_YET_VALID, lambda: lie_other_signer(begins=NOW - NEW)),
    # unreadable
    "TCB info without FMSPC": (Code.COLLATERAL_MALFORMED, made(tcb={"fmspc": None})),
    "TCB info without a date": (Code.COLLATERAL_MALFORMED, made(tcb={"issueDate": "yesterday"})),
    "TCB info is a list": (Code.COLLATERAL_MALFORMED, made(tcb_info="[]")),
    "no certificate": (Code.COLLATERAL_MALFORMED, made(tcb_info_issuer_chain="certificate")),
    "too much to be kept": (
        Code.COLLATERAL_MALFORMED,
        made(pck_crl=bytes(MAX_BYTES // 2 + 1)),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_its_own_code(world: World, lie: str) -> None:
    code, make = LIES[lie]
    server = world.serve(pages(make()))
    rejects(code, lambda: world.fetch(server))


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity"])
def test_real_documents_written_anew_lose_their_signature(world: World, real: Collateral, part: str) -> None:
    server = world.serve(pages(altered(real, part, reserialised(getattr(real, part)))))
    rejects(Code.COLLATERAL_SIGNATURE_INVALID, lambda: world.fetch(server, root=intel_root().certificate))


def test_real_collateral_at_other_times(world: World, real: Collateral, real_data: Path) -> None:
    server, root = world.serve(pages(real)), intel_root().certificate
    rejects(Code.COLLATERAL_EXPIRED, lambda: world.fetch(server, root=root, now=NOW + dt.timedelta(days=31)))
    rejects(Code.COLLATERAL_NOT_YET_VALID, lambda: world.fetch(server, root=root, now=NOW - dt.timedelta(days=1)))
    rejects(Code.COLLATERAL_MISMATCH, lambda: world.fetch(server, root=root, ca="processor"))
    rejects(Code.COLLATERAL_MISMATCH, lambda: world.fetch(server, root=root, fmspc="00806f050000"))
    rejects(Code.COLLATERAL_SIGNER_INVALID, lambda: world.fetch(server))


def test_genuine_sgx_collateral_is_not_tdx(world: World, real_data: Path) -> None:
    sgx = parse_collateral((real_data / "tdx" / "phala" / "sgx_quote_collateral.json").read_bytes())
    fmspc, ca = sgx.platform
    server = world.serve(pages(sgx))
    found = rejects(
        Code.COLLATERAL_MISMATCH,
        lambda: world.fetch(server, root=intel_root().certificate, fmspc=fmspc, ca=ca, now=sgx.issued),
    )
    assert "SGX and QE" in found


@pytest.mark.parametrize("number", ["evaluation", "qe_evaluation", "pck_crl", "root_crl"])
def test_collateral_is_never_older_than_what_is_known(world: World, number: str) -> None:
    maker = manufacturer()

    def with_number(value: int) -> Collateral:
        changes: dict[str, dict[str, Any]] = {
            "evaluation": {"tcb": {"tcbEvaluationDataNumber": value}},
            "qe_evaluation": {"qe": {"tcbEvaluationDataNumber": value}},
            "pck_crl": {"pck_crl": maker.platform_ca.crl(value)},
            "root_crl": {"root_ca_crl": maker.root.crl(value)},
        }
        return maker.collateral(**changes[number])

    older, newer = with_number(21), with_number(22)
    server = world.serve(pages(older))
    found = rejects(Code.COLLATERAL_ROLLED_BACK, lambda: world.fetch(server, known=[older, newer]))
    assert f"{number} 22 or more" in found
    assert world.fetch(world.serve(pages(newer)), known=[older]) == newer


def test_what_is_known_of_other_platforms_does_not_count(world: World) -> None:
    other = manufacturer().collateral(tcb={"fmspc": "00806F050000", "tcbEvaluationDataNumber": 99})
    mine = manufacturer().collateral()
    assert world.fetch(world.serve(pages(mine)), known=[other]) == mine


@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
@settings(deadline=None)
@given(
    part=st.sampled_from([each.name for each in fields(Collateral)]), at=st.integers(0, 9999), flip=st.integers(1, 127)
)
def test_no_change_of_a_part_is_accepted_or_fails_otherwise(part: str, at: int, flip: int) -> None:
    content = getattr(honest(), part)
    other = changed(content, at % len(content), flip)
    lie = altered(honest(), part, other)
    try:
        check_collateral(lie, FMSPC, "platform", root=manufacturer().root.certificate, now=NOW)
    except Rejected:
        return
    if part.endswith("crl"):  # the number of unused bits of a signature that ends in zeros
        then, now = x509.load_der_x509_crl(content), x509.load_der_x509_crl(other)
        assert (then.tbs_certlist_bytes, then.signature) == (now.tbs_certlist_bytes, now.signature)
        return
    assert part.endswith("chain")  # white space, or bits of base64 that mean nothing
    assert x509.load_pem_x509_certificates(other.encode()) == x509.load_pem_x509_certificates(content.encode())
