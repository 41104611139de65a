"""Collateral from services that are honest, lying, slow or dead, all of them over real TLS."""

import base64
import datetime as dt
import functools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import FetchError, InputError, Rejected
from atlas.evidence.fetch import Service, fetch_collateral, needs_refresh
from atlas.evidence.https import MAX_BYTES
from atlas.evidence.tdx.check import check_collateral
from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from atlas.trust import intel_root
from unit.evidence.pccs_support import (
    CRL,
    DER_ROOT_CRL,
    FMSPC,
    NOW,
    QE,
    ROOT_CRL,
    SGX,
    TCB,
    Behaviour,
    Holder,
    Pages,
    Pccs,
    Reply,
    certify,
    deaf,
    dripping,
    failing,
    flooding,
    manufacturer,
    pages,
    raw,
    serving,
    silent,
    tls_holder,
)

SOON = 0.3
"""Seconds that a test waits for what never comes."""
CHAINS = {
    TCB: "TCB-Info-Issuer-Chain",
    QE: "SGX-Enclave-Identity-Issuer-Chain",
    CRL: "SGX-PCK-CRL-Issuer-Chain",
}


@dataclass
class World:
    """An authority for TLS, and services that it vouches for."""

    folder: Path
    authority: Holder
    holder: Holder
    stack: ExitStack

    @property
    def ca_file(self) -> Path:
        file = self.folder / "ca.pem"
        file.write_text(self.authority.pem)
        return file

    def serve(self, served: Pages, holder: Holder | None = None, *, tls: bool = True) -> Pccs:
        return self.stack.enter_context(serving(served, (holder or self.holder) if tls else None, self.folder))

    def service(self, url: str, **changes: Any) -> Service:
        return Service(url, **{"ca_file": self.ca_file, **changes})

    def fetch(
        self, server: Pccs, *, root: x509.Certificate | None = None, timeout: float = 10, **asked: Any
    ) -> Collateral:
        root = root or manufacturer().root.certificate
        asked = {"fmspc": FMSPC, "ca": "platform", "now": NOW, **asked}
        return fetch_collateral(self.service(server.url, timeout=timeout), root=root, **asked)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Holder, Holder]:
    authority = certify("TLS authority", ca=True)
    return tmp_path_factory.mktemp("tls"), authority, tls_holder(authority, "127.0.0.1", "localhost")


@pytest.fixture
def world(tls: tuple[Path, Holder, Holder]) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(*tls, stack)


@pytest.fixture(scope="session")
def real(real_data: Path) -> Collateral:
    return parse_collateral((real_data / "tdx" / "phala" / "tdx_quote_collateral.json").read_bytes())


def rejects(code: Code, act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as caught:
        act()
    assert caught.value.code is code, (caught.value, caught.value.expected, caught.value.found)
    return f"{caught.value} {caught.value.expected} {caught.value.found}"


def fails(words: str, act: Callable[[], object]) -> str:
    with pytest.raises(FetchError, match=words) as caught:
        act()
    assert str(caught.value).startswith("https://127.0.0.1:")
    assert caught.value.mend
    return f"{caught.value}; {caught.value.mend}"


# ---------------------------------------------------------------------------------------------------------- honest


@pytest.mark.parametrize("form", ["pccs", "pcs"])
def test_real_collateral_is_fetched_as_it_was_served(world: World, real: Collateral, form: str) -> None:
    served = pages(real)
    if form == "pcs":
        del served[ROOT_CRL]
    server = world.serve(served)
    service = world.service(server.url + "/", root_crl_url=server.url + DER_ROOT_CRL if form == "pcs" else "")
    fetched = fetch_collateral(service, FMSPC, "platform", root=intel_root().certificate, now=NOW)
    assert fetched == real
    assert fetched.sha256 == real.sha256
    assert server.asked == [
        f"{TCB}?fmspc={FMSPC.upper()}",
        QE,
        f"{CRL}?ca=platform&encoding=der",
        DER_ROOT_CRL if form == "pcs" else ROOT_CRL,
    ]


def test_the_fmspc_is_of_either_case_and_known_collateral_may_be_the_same(world: World, real: Collateral) -> None:
    server = world.serve(pages(real))
    fetched = world.fetch(server, fmspc=FMSPC.upper(), root=intel_root().certificate, known=iter([real]))
    assert fetched == real


def test_collateral_of_a_processor_authority(world: World) -> None:
    maker = manufacturer()
    made = maker.collateral(pck_crl_issuer_chain=maker.processor_ca.pem, pck_crl=maker.processor_ca.crl())
    assert world.fetch(world.serve(pages(made)), ca="processor") == made


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_lists_come_in_der_or_in_hex(world: World, ending: str) -> None:
    made = manufacturer().collateral()
    served = pages(made)
    in_hex = made.pck_crl.hex().upper() + ending
    served[CRL] = replace(reply(served, CRL), body=in_hex.encode())
    served[ROOT_CRL] = Reply(made.root_ca_crl)
    assert world.fetch(world.serve(served)) == made


def test_header_names_are_of_any_case_and_members_in_any_order(world: World) -> None:
    made = manufacturer().collateral()
    served = pages(made)
    for path in CHAINS:
        given = reply(served, path)
        served[path] = replace(given, headers={name.lower(): value for name, value in given.headers.items()})
    body = f'\n{{ "signature" : "{made.tcb_info_signature.hex().upper()}" ,\n"tcbInfo" : {made.tcb_info}}}\r\n'
    served[TCB] = replace(reply(served, TCB), body=body.encode())
    assert world.fetch(world.serve(served)) == made


def test_plus_is_a_character_of_base64(world: World, real: Collateral) -> None:
    assert "+" in real.tcb_info_issuer_chain
    served = pages(real)
    header = quote(real.tcb_info_issuer_chain, safe="+/=")
    served[TCB] = replace(reply(served, TCB), headers={"TCB-Info-Issuer-Chain": header})
    assert world.fetch(world.serve(served), root=intel_root().certificate) == real


def test_an_answer_may_come_in_chunks(world: World) -> None:
    served = pages(honest())
    given = reply(served, TCB)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (given.body[:10], given.body[10:]))
    served[TCB] = raw(head(given, "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
    assert world.fetch(world.serve(served)) == honest()


def test_proxies_of_the_environment_are_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert world.fetch(world.serve(pages(honest()))) == honest()


# ----------------------------------------------------------------------------------------------------------- lying


def reply(served: Pages, path: str) -> Reply:
    found = served[path]
    assert isinstance(found, Reply)
    return found


@functools.cache
def honest() -> Collateral:
    return manufacturer().collateral()


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


def lie_sgx_tcb(real: Collateral) -> Collateral:
    return manufacturer().collateral(tcb={"id": "SGX"})


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


def made(**changes: Any) -> Callable[[], Collateral]:
    return lambda: manufacturer().collateral(**changes)


def broken(part: str, at: int) -> Callable[[], Collateral]:
    return lambda: altered(honest(), part, changed(getattr(honest(), part), at))


def broken_chain(part: str, index: int, at: int) -> Callable[[], Collateral]:
    return lambda: altered(honest(), part, swapped_der(getattr(honest(), part), index, at))


YEARS = dt.timedelta(days=4000)
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


# -------------------------------------------------------------------------------------------------- wrong content


def with_body(path: str, body: bytes) -> Pages:
    served = pages(honest())
    served[path] = replace(reply(served, path), body=body)
    return served


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"tcbInfo":{}}',
        b'{"tcbInfo":{},"signature":""} x',
        b'{"tcbInfo":{},"signature":"",}',
        b'{"tcbInfo":{},"signature":"xy"}',
        b'{"tcbInfo":{},"signature":17}',
        b'{"tcbInfo":{},"signature":null}',
        b'{"tcbInfo":{},"signature":"00","tcbInfo":{}}',
        b'{"tcbInfo":{},"signature":"00","more":1}',
        b'{"tcbInfo":{},"signature":"00"',
        b'{"tcbInfo" {},"signature":"00"}',
        b'{"tcbInfo":"{}","signature":"00"}',
        b'{"tcbInfo":17,"signature":"00"}',
        b'{17:{},"signature":"00"}',
        b'{"enclaveIdentity":{},"signature":"00"}',
        b'{"tcbInfo":' + b"[" * 100_000,
        b'{"tcbInfo":' + b"1" * 10_000 + b',"signature":"00"}',
        b'{"tcbInfo":"\\ud800","signature":"00"}',
    ],
)
def test_an_answer_that_is_no_signed_document(world: World, body: bytes) -> None:
    server = world.serve(with_body(TCB, body))
    rejects(Code.COLLATERAL_MALFORMED, lambda: world.fetch(server))


def test_a_signed_document_with_another_of_its_name(world: World) -> None:
    server = world.serve(with_body(TCB, reply(pages(honest()), TCB).body.replace(b"{", b'{"tcbInfo":{},', 1)))
    assert "twice" in rejects(Code.COLLATERAL_MALFORMED, lambda: world.fetch(server))


@pytest.mark.parametrize("path", [CRL, ROOT_CRL])
@pytest.mark.parametrize("body", [b"", b"-----BEGIN X509 CRL-----", b"3082", b"\x30\x00", b"\0" * 100])
def test_an_answer_that_is_no_revocation_list(world: World, path: str, body: bytes) -> None:
    server = world.serve(with_body(path, body))
    rejects(Code.CRL_INVALID, lambda: world.fetch(server))


@pytest.mark.parametrize("value", [None, "", "certificate", "%ff", "%2", "-----BEGIN CERTIFICATE-----", "\xff"])
@pytest.mark.parametrize("path", CHAINS)
def test_a_header_that_is_no_chain(world: World, path: str, value: str | None) -> None:
    served = pages(honest())
    headers = {} if value is None else {CHAINS[path]: value}
    served[path] = replace(reply(served, path), headers=headers)
    server = world.serve(served)
    rejects(Code.COLLATERAL_MALFORMED, lambda: world.fetch(server))


def test_two_headers_with_chains(world: World) -> None:
    served = pages(honest())
    given = reply(served, TCB)
    served[TCB] = raw(head(given, f"Content-Length: {len(given.body)}", chain_line(given)) + given.body)
    server = world.serve(served)
    found = rejects(Code.COLLATERAL_MALFORMED, lambda: world.fetch(server))
    assert "2 headers TCB-Info-Issuer-Chain" in found


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
    assert part.endswith("chain")  # white space, or bits of base64 that mean nothing
    assert x509.load_pem_x509_certificates(other.encode()) == x509.load_pem_x509_certificates(content.encode())


# ------------------------------------------------------------------------------------------------------------ slow


def head(given: Reply, *lines: str) -> bytes:
    own = [f"{name}: {value}" for name, value in given.headers.items()]
    return "\r\n".join(["HTTP/1.1 200 OK", *own, *lines, "", ""]).encode()


def chain_line(given: Reply) -> str:
    [(name, value)] = given.headers.items()
    return f"{name}: {value}"


SLOW: dict[str, Behaviour] = {
    "before headers": silent(),
    "in the status line": silent(b"HTTP/1.1 2"),
    "in headers": silent(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "in the body": silent(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "in a chunk": silent(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"),
    "dripping the status": dripping(b"HTTP/1.1 200 ", b"O"),
    "dripping a header": dripping(b"HTTP/1.1 200 OK\r\nA: ", b"a"),
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\n", b"A: a\r\n"),
    "dripping the body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"{"),
    "dripping chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
    "always about to answer": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("path", [TCB, ROOT_CRL])
@pytest.mark.parametrize("where", SLOW)
def test_a_slow_service_is_cut_off(world: World, path: str, where: str) -> None:
    served = pages(honest())
    served[path] = SLOW[where]
    server = world.serve(served)
    found = fails(f"{path}.*: no whole answer within 0.3 s", lambda: world.fetch(server, timeout=SOON))
    assert "timeout" in found


def test_a_service_that_takes_no_connections(world: World) -> None:
    with deaf() as url:
        service = world.service(url, timeout=SOON)
        fails("no whole answer within 0.3 s", lambda: fetch(service))


def test_a_resolver_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    with pytest.raises(FetchError, match=r"^https://pccs\.example/.*: no whole answer within 0\.3 s"):
        fetch(world.service("https://pccs.example", timeout=SOON))
    over.set()


# ------------------------------------------------------------------------------------------------------------ dead


def fetch(service: Service) -> Collateral:
    return fetch_collateral(service, FMSPC, "platform", root=manufacturer().root.certificate, now=NOW)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_service_that_is_not_there(world: World) -> None:
    service = world.service(f"https://127.0.0.1:{unused_port()}", timeout=SOON)
    found = fails(r"/tdx/certification/v4/tcb\?fmspc=B0C06F000000: Connection refused", lambda: fetch(service))
    assert "check the address" in found


def test_a_name_that_does_not_exist(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FetchError, match=r"pccs\.example/.*: Name or service not known"):
        fetch(world.service("https://pccs.example", timeout=SOON))


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be(world: World, host: str) -> None:
    with pytest.raises(FetchError, match=r"^https://a"):
        fetch(world.service(f"https://{host}", timeout=SOON))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 9999 ?\r\n\r\n",
        b"\0" * 100 + b"\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: a\r\n" * 200 + b"\r\n",
    ],
)
def test_a_service_that_breaks_off_or_speaks_something_else(world: World, start: bytes) -> None:
    served = pages(honest())
    served[QE] = raw(start)
    server = world.serve(served)
    fails(QE, lambda: world.fetch(server, timeout=2))


@pytest.mark.parametrize("how", [raw, silent, flooding, lambda start: dripping(start, b"{")])
def test_an_answer_without_a_length_could_be_cut(world: World, how: Callable[[bytes], Behaviour]) -> None:
    served = pages(honest())
    served[CRL] = how(b"HTTP/1.1 200 OK\r\n\r\n{")
    server = world.serve(served)
    fails(f"{CRL}.*: the answer breaks off, or does not say", lambda: world.fetch(server, timeout=2))


def test_each_address_of_a_name_is_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = world.serve(pages(honest()))
    dead, alive = (
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        for port in (unused_port(), server.server_address[1])
    )
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [dead, alive])
    assert world.fetch(server) == honest()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    fails("the name has no address", lambda: world.fetch(server, timeout=SOON))


def test_a_service_that_hangs_up_before_the_handshake(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        fails(
            "(?i)reset|EOF|closed",
            lambda: fetch(world.service(f"https://127.0.0.1:{server.getsockname()[1]}", timeout=1)),
        )
        server.shutdown(socket.SHUT_RDWR)


def test_an_authority_that_is_not_known(world: World, tmp_path: Path) -> None:
    server = world.serve(pages(honest()))
    other = tmp_path / "other.pem"
    other.write_text(certify("TLS authority", ca=True).pem)
    for service in (Service(server.url, ca_file=other), Service(server.url)):
        found = fails("its certificate is not trusted", lambda service=service: fetch(service))  # type: ignore[misc]
        assert "ca_file" in found
    assert server.asked == []


def test_another_name_than_that_of_the_certificate(world: World) -> None:
    server = world.serve(pages(honest()), tls_holder(world.authority, "pccs.example"))
    fails("its certificate is not trusted: .*127.0.0.1", lambda: world.fetch(server))
    assert server.asked == []


def test_a_certificate_that_is_over(world: World) -> None:
    holder = tls_holder(world.authority, "127.0.0.1", begins=NOW - YEARS)
    server = world.serve(pages(honest()), holder)
    fails("its certificate is not trusted: certificate has expired", lambda: world.fetch(server))


def test_a_port_without_tls(world: World) -> None:
    server = world.serve(pages(honest()), tls=False)
    fails("(?i)ssl|tls", lambda: world.fetch(server, timeout=2))
    assert server.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(world: World, status: int) -> None:
    other = world.serve(pages(honest()))
    served = pages(honest())
    served[TCB] = Reply(status=status, headers={"Location": other.url + TCB})
    server = world.serve(served)
    found = fails(f"redirects to '{other.url}{TCB}', which is not followed", lambda: world.fetch(server))
    assert "give the address" in found
    assert other.asked == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 461, 500, 501, 505])
def test_other_answers_end_it_at_once(world: World, status: int) -> None:
    served = pages(honest())
    served[CRL] = Reply(status=status)
    server = world.serve(served)
    words = "redirects to 'nowhere'" if status == 304 else f"answered {status}"
    fails(f"{CRL}.*: {words}", lambda: world.fetch(server))
    assert len(server.asked) == 3


def test_a_pcs_without_the_list_of_the_root_says_where_it_is(world: World) -> None:
    served = pages(honest())
    del served[ROOT_CRL]
    server = world.serve(served)
    found = fails(f"{ROOT_CRL}: answered 404", lambda: world.fetch(server))
    assert "root_crl_url" in found
    assert "IntelSGXRootCA.der" in found


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_twice_more(world: World, status: int) -> None:
    served = pages(honest())
    served[TCB] = failing(2, Reply(status=status), served[TCB])
    server = world.serve(served)
    assert world.fetch(server, timeout=2) == honest()
    assert len(server.asked) == 6
    served[TCB] = failing(3, Reply(status=status), served[DER_ROOT_CRL])
    server.asked.clear()
    found = fails(f"answered {status}", lambda: world.fetch(server, timeout=2))
    assert "later" in found
    assert len(server.asked) == 3


def test_a_connection_that_breaks_is_tried_twice_more(world: World) -> None:
    served = pages(honest())
    served[ROOT_CRL] = failing(2, raw(b""), served[ROOT_CRL])
    assert world.fetch(world.serve(served), timeout=2) == honest()


def test_further_tries_have_no_time_of_their_own(world: World) -> None:
    def late(handler: Any) -> None:
        time.sleep(SOON * 0.7)
        handler.reply(Reply(status=503))

    served = pages(honest())
    served[TCB] = late
    server = world.serve(served)
    fails("answered 503|no whole answer", lambda: world.fetch(server, timeout=SOON))
    assert len(server.asked) < 3


# ------------------------------------------------------------------------------------------------------------ huge

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HUGE: dict[str, Reply | Behaviour] = {
    "as it says": Reply(bytes(MAX_BYTES + 1)),
    "as it only says": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"),
    "in chunks": flooding(CHUNKED, b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    "in one chunk": flooding(CHUNKED + b"ffffffffffff\r\n"),
    "in a chunk of less than nothing": flooding(CHUNKED + b"-1\r\n"),
    "before it answers": flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "behind the last chunk": flooding(CHUNKED + b"0\r\n", b"a: a\r\n" * 1000),
}


@pytest.mark.parametrize("how", HUGE)
def test_an_answer_that_is_too_large(world: World, how: str) -> None:
    served = pages(honest())
    served[TCB] = HUGE[how]
    server = world.serve(served)
    fails(f"{TCB}.*: the answer is over {MAX_BYTES} bytes", lambda: world.fetch(server))


def test_an_answer_that_is_just_not_too_large(world: World) -> None:
    served = pages(honest())
    given = reply(served, TCB)
    served[TCB] = replace(given, body=given.body.ljust(MAX_BYTES))
    assert world.fetch(world.serve(served)) == honest()


# -------------------------------------------------------------------------------------------------- asking for it


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no address: .*https only"),
        ("pccs.example", "https"),
        ("http://pccs.example", "https only"),
        ("ftp://pccs.example", "https only"),
        ("https://", "not that of a service"),
        ("https://user:secret@pccs.example", "not that of a service"),
        ("https://pccs.example/#x", "not that of a service"),
        ("https://pccs.example?x=1", "cannot be appended"),
        ("https://pccs.example:port", "not an address"),
        ("https://[::1", "not an address"),
    ],
)
def test_addresses_that_are_none(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Service(url)
    assert caught.value.mend
    assert "secret" not in str(caught.value)


def test_the_address_of_the_root_list_is_held_to_the_same(world: World) -> None:
    with pytest.raises(InputError, match="https only"):
        Service("https://pccs.example", root_crl_url="http://certificates.example/root.der")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_timeouts_that_are_none(timeout: float) -> None:
    with pytest.raises(InputError, match="timeout"):
        Service("https://pccs.example", timeout=timeout)


@pytest.mark.parametrize(
    ("fmspc", "ca"), [("", "platform"), ("b0c06f00000", "platform"), ("b0c06f00000g", "platform"), (FMSPC, "root")]
)
def test_platforms_that_are_none(fmspc: str, ca: str) -> None:
    with pytest.raises(InputError, match="is no"):
        fetch_collateral(Service("https://127.0.0.1:1"), fmspc, ca, root=manufacturer().root.certificate, now=NOW)


def test_a_file_of_authorities_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_bytes(b"")
    for name in ("empty.pem", "missing.pem", "."):
        with pytest.raises(InputError, match=re.escape(str(tmp_path / name))):
            fetch(Service("https://127.0.0.1:1", ca_file=tmp_path / name))


def test_half_of_a_life() -> None:
    made = manufacturer().collateral(issued=NOW, days=30)
    assert not needs_refresh(made, NOW)
    assert not needs_refresh(made, NOW + dt.timedelta(days=15))
    assert needs_refresh(made, NOW + dt.timedelta(days=15, seconds=1))
    assert needs_refresh(made, NOW + dt.timedelta(days=31))
