"""Collateral from honest services, and from those whose answers are not of the form, all of them over real TLS."""

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from atlas.codes import Code
from atlas.errors import InputError
from atlas.evidence.fetch import Service, fetch_collateral, needs_refresh
from atlas.evidence.tdx.collateral import Collateral
from atlas.trust import intel_root
from unit.evidence.fetch_support import World, fetch, honest, rejects, reply
from unit.evidence.pccs_support import (
    CRL,
    DER_ROOT_CRL,
    FMSPC,
    NOW,
    QE,
    ROOT_CRL,
    TCB,
    Pages,
    Reply,
    manufacturer,
    pages,
    raw,
)

CHAINS = {
    TCB: "TCB-Info-Issuer-Chain",
    QE: "SGX-Enclave-Identity-Issuer-Chain",
    CRL: "SGX-PCK-CRL-Issuer-Chain",
}


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


def head(given: Reply, *lines: str) -> bytes:
    own = [f"{name}: {value}" for name, value in given.headers.items()]
    return "\r\n".join(["HTTP/1.1 200 OK", *own, *lines, "", ""]).encode()


def chain_line(given: Reply) -> str:
    [(name, value)] = given.headers.items()
    return f"{name}: {value}"


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
