"""Attacks on quotes: on their bytes, on the trust domain that they are of, and on the machine that made them."""

import datetime as dt
import struct
from dataclasses import replace

from atlas.codes import Code
from atlas.evidence.providers import Attestation
from atlas.evidence.simulator import pki
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import tcb_svn
from integration.tamper.attacks_evidence import trained
from integration.tamper.registry import Part, attack
from integration.tamper.world import TD, Outcome, Pod, World, said, simulator, today

DATA = bytes(64)
SIGNATURE = 48 + 584 + 4
"""Where the signature begins in a quote of version 4; the key follows it."""
YEARS = dt.timedelta(days=4000)


def honest() -> bytes:
    """A quote of an honest pod."""
    return simulator().quote(DATA, TD)


def sibling(**changes: object) -> UnsafeSimulatedPlatform:
    """Another machine of the same manufacturer."""
    return simulator().sibling(today(), replace(UnsafeSimulatedMachine(), **changes))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ its bytes


@attack(Part.EVIDENCE, Code.QUOTE_MALFORMED, answers="a quote read as far as it goes")
def quote_cut_off(world: World) -> Outcome:
    """Cuts a quote off before its signature."""
    return world.verify_quote(honest()[: SIGNATURE - 4])


@attack(Part.EVIDENCE, Code.QUOTE_MALFORMED, answers="unbounded input")
def quote_of_a_megabyte(world: World) -> Outcome:
    """Delivers a quote so large that reading it would keep the verifier busy."""
    return world.verify_quote(honest() + bytes(1 << 20))


@attack(Part.EVIDENCE, Code.QUOTE_NOT_CANONICAL, answers="bytes that nobody signed")
def quote_with_a_tail(world: World) -> Outcome:
    """Appends bytes to a quote, so that one that was seen before looks new."""
    return trained(world, Pod(change=lambda given: replace(given, quote=given.quote + b"\0\1")))


@attack(Part.EVIDENCE, Code.QUOTE_NOT_CANONICAL, answers="a chain of any length")
def quote_with_a_fourth_certificate(world: World) -> Outcome:
    """Adds a certificate to the chain in a quote, and makes all lengths right."""
    extra = simulator().signer.pem.encode()
    extra = extra[: extra.index(b"-----END CERTIFICATE-----\n") + 26]
    raw = bytearray(honest()[:-1] + extra + b"\0")
    for place in (raw.index(b"-----BEGIN") - 4, SIGNATURE + 130, SIGNATURE - 4):
        struct.pack_into("<I", raw, place, struct.unpack_from("<I", raw, place)[0] + len(extra))
    return world.verify_quote(bytes(raw))


@attack(Part.EVIDENCE, Code.QUOTE_VERSION_UNKNOWN, answers="version chosen by the evidence")
def quote_of_an_old_version(world: World) -> Outcome:
    """Says that a quote is of version 3, which has weaker rules."""
    return world.verify_quote(b"\3" + honest()[1:])


@attack(Part.EVIDENCE, Code.QUOTE_VERSION_UNKNOWN, answers="algorithm chosen by the evidence")
def quote_of_another_algorithm(world: World) -> Outcome:
    """Says that a quote is signed with another algorithm."""
    return world.verify_quote(honest()[:2] + b"\3" + honest()[3:])


@attack(Part.EVIDENCE, Code.QUOTE_NOT_TDX, answers="SGX quote taken for a trust domain's")
def quote_of_sgx(world: World) -> Outcome:
    """Presents an SGX quote, in which other fields stand where a trust domain's measurements do."""

    def change(given: Attestation) -> Attestation:
        return replace(given, quote=given.quote[:4] + bytes(4) + given.quote[8:])

    return trained(world, Pod(change=change))


@attack(Part.EVIDENCE, Code.QUOTE_SIGNATURE_INVALID, answers="measurements rewritten")
def measurement_rewritten(world: World) -> Outcome:
    """Rewrites MRTD in the quote of a trust domain with other firmware."""

    def change(given: Attestation) -> Attestation:
        return replace(given, quote=given.quote.replace(b"\xe0" * 48, TD.mr_td))

    return trained(world, Pod(td=replace(TD, mr_td=b"\xe0" * 48), change=change))


@attack(Part.EVIDENCE, Code.QUOTE_SIGNATURE_INVALID, answers="measurements rewritten")
def debug_bit_cleared(world: World) -> Outcome:
    """Clears the debug bit in the quote of a trust domain that can be debugged."""

    def change(given: Attestation) -> Attestation:
        return replace(given, quote=given.quote[:168] + b"\0" + given.quote[169:])

    return trained(world, Pod(td=replace(TD, debug=True), change=change))


@attack(Part.EVIDENCE, Code.QUOTE_SIGNATURE_INVALID, answers="measurements rewritten")
def report_data_rewritten(world: World) -> Outcome:
    """Rewrites the report data of another step's quote so that they fit."""
    other = simulator().quote(DATA, TD)

    def change(given: Attestation) -> Attestation:
        return replace(given, quote=given.quote[: SIGNATURE - 4] + other[SIGNATURE - 4 :])

    return trained(world, Pod(change=change))


@attack(Part.EVIDENCE, Code.QUOTE_ENCLAVE_INVALID, answers="a quote signed by any key")
def attestation_key_exchanged(world: World) -> Outcome:
    """Signs the quote with a key of its own, and leaves the platform's word on the genuine one."""

    def change(given: Attestation) -> Attestation:
        key = pki.new_key()
        forged = pki.sign(key, given.quote[: SIGNATURE - 4]) + pki.public_bytes(key)
        return replace(given, quote=given.quote[:SIGNATURE] + forged + given.quote[SIGNATURE + 128 :])

    return trained(world, Pod(change=change))


@attack(Part.EVIDENCE, Code.QUOTE_ENCLAVE_INVALID, answers="a quote signed by any enclave")
def quoting_enclave_of_another(world: World) -> Outcome:
    """Has the quote signed by an enclave of its own on a genuine platform."""
    return world.verify_quote(collateral=said(qe_signer=bytes(32)))


@attack(Part.EVIDENCE, Code.QUOTE_ENCLAVE_INVALID, answers="a quoting enclave with a known hole")
def quoting_enclave_too_old(world: World) -> Outcome:
    """Has the quote signed by a quoting enclave older than any that the manufacturer still lists."""
    return world.verify_quote(collateral=said(qe_svn=5))


@attack(Part.EVIDENCE, Code.QUOTE_ENCLAVE_INVALID, answers="only the certificates checked")
def certificates_of_a_trusted_machine(world: World) -> Outcome:
    """Puts the certificates of a trusted machine into the quote of one that it built itself."""
    own = UnsafeSimulatedPlatform.new(today())
    borrowed = replace(own.pck, chain=simulator().pck.chain)
    return world.verify_quote(replace(own, pck=borrowed).quote(DATA, TD))


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_INVALID, answers="only the last certificate checked")
def certificates_of_a_trusted_manufacturer(world: World) -> Outcome:
    """Puts the certificates of a trusted manufacturer behind that of a machine that it built itself."""
    own = UnsafeSimulatedPlatform.new(today())
    borrowed = replace(own.pck, chain=(own.pck.certificate, *simulator().authority.chain))
    return world.verify_quote(replace(own, pck=borrowed).quote(DATA, TD))


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_REVOKED, answers="revocation not asked for")
def machine_revoked(world: World) -> Outcome:
    """Attests on a machine whose certificate is revoked, because its keys were extracted."""
    world.keep(said(pck_revoked=True), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_REVOKED, answers="revocation asked for at the end of the chain only")
def authority_revoked(world: World) -> Outcome:
    """Attests on a machine that a revoked authority certified."""
    return world.verify_quote(collateral=said(authority_revoked=True))


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_INVALID, answers="certificates without an end")
def machine_s_certificate_expired(world: World) -> Outcome:
    """Attests on a machine whose certificate has expired."""
    return trained(world, Pod(machine=simulator().sibling(today() - YEARS, simulator().machine)))


@attack(Part.EVIDENCE, Code.QUOTE_REJECTED, answers="a signer that acts as a machine")
def certificate_of_no_machine(world: World) -> Outcome:
    """Has a quote vouched for by a key that the manufacturer certified for something else than a machine."""
    return world.verify_quote(replace(simulator(), pck=simulator().authority.issue(pki.PCK, today())).quote(DATA, TD))


# ------------------------------------------------------------------------------------------------ its trust domain


@attack(Part.EVIDENCE, Code.TD_DEBUG, answers="debug trust domain")
def domain_under_debug(world: World) -> Outcome:
    """Trains in a trust domain that its host can debug."""
    return trained(world, Pod(td=replace(TD, debug=True)))


@attack(Part.EVIDENCE, Code.TD_DEBUG, answers="debug trust domain")
def domain_under_debug_of_version_5(world: World) -> Outcome:
    """Trains in a trust domain that its host can debug, and presents a quote of the newer version."""
    return trained(world, Pod(td=replace(TD, debug=True), version=5))


@attack(Part.EVIDENCE, Code.TD_DEBUG, answers="debug trust domain accepted where none is required")
def domain_under_debug_where_none_is_required(world: World) -> Outcome:
    """Trains in a trust domain that its host can debug, under a policy that requires no evidence."""
    made = world.pipeline("run-2", signing={"train": world.attested(Pod(td=replace(TD, debug=True)))})
    return world.verify(made["model"])


@attack(Part.EVIDENCE, Code.TD_MIGRATABLE, answers="trust domain that leaves its machine")
def domain_that_migrates(world: World) -> Outcome:
    """Trains in a trust domain that can be migrated to another machine."""
    return trained(world, Pod(td=replace(TD, migratable=True)))


@attack(Part.EVIDENCE, Code.TD_SERVICED, answers="trust domain that another one may change")
def domain_with_a_service(world: World) -> Outcome:
    """Binds a service domain of its own to the trust domain, which may then change it."""
    return trained(world, Pod(td=replace(TD, mr_service_td=b"\1" * 48), version=5))


@attack(Part.EVIDENCE, Code.TD_SEPT_VE_ENABLED, answers="exceptions raised by the host")
def domain_with_exceptions(world: World) -> Outcome:
    """Trains in a trust domain whose host may raise exceptions in the middle of a computation."""
    return trained(world, Pod(td=replace(TD, sept_ve_disable=False)))


@attack(Part.EVIDENCE, Code.TD_ATTRIBUTE_NOT_ALLOWED, answers="attributes without a meaning yet")
def domain_with_a_reserved_attribute(world: World) -> Outcome:
    """Sets an attribute of the trust domain that has no meaning yet."""
    return trained(world, Pod(td=replace(TD, other_attributes=1 << 27)))


@attack(Part.EVIDENCE, Code.TD_ATTRIBUTE_NOT_ALLOWED, answers="attributes that the policy does not admit")
def domain_with_counters(world: World) -> Outcome:
    """Lets the trust domain use performance counters, through which it leaks."""
    return trained(world, Pod(td=replace(TD, perfmon=True)))


@attack(Part.EVIDENCE, Code.TD_ATTRIBUTE_NOT_ALLOWED, answers="attributes that the policy does not admit")
def domain_with_protection_keys(world: World) -> Outcome:
    """Lets the trust domain use supervisor protection keys, which the policy does not admit."""
    return trained(world, Pod(td=replace(TD, pks=True)))


@attack(Part.EVIDENCE, Code.TD_XFAM_NOT_ALLOWED, answers="features that the policy does not admit")
def domain_with_other_features(world: World) -> Outcome:
    """Gives the trust domain processor features that the policy does not list."""
    return trained(world, Pod(td=replace(TD, xfam=b"\xff" * 8)))


@attack(Part.EVIDENCE, Code.TDX_MODULE_INVALID, answers="any TDX module")
def module_of_another_signer(world: World) -> Outcome:
    """Loads a TDX module of its own."""
    return world.verify_quote(td=replace(TD, mr_signer_seam=b"\1" * 48))


@attack(Part.EVIDENCE, Code.TDX_MODULE_INVALID, answers="an old module with a known hole")
def module_too_old(world: World) -> Outcome:
    """Loads a TDX module older than any that the manufacturer still lists."""
    return world.verify_quote(td=replace(TD, tee_tcb_svn=tcb_svn(module=2)))


# ------------------------------------------------------------------------------------------------ its machine


@attack(Part.EVIDENCE, Code.TCB_LEVEL_UNKNOWN, answers="firmware rolled back")
def loader_rolled_back(world: World) -> Outcome:
    """Rolls the module's loader back below every level that the manufacturer lists."""
    return world.verify_quote(td=replace(TD, tee_tcb_svn=tcb_svn(loader=2)))


@attack(Part.EVIDENCE, Code.TCB_LEVEL_UNKNOWN, answers="firmware rolled back")
def microcode_rolled_back(world: World) -> Outcome:
    """Rolls the machine's microcode back below every level that the manufacturer lists."""
    return world.verify_quote(sibling(cpu_svn=bytes([2] * 8 + [0] * 8)).quote(DATA, TD))


@attack(Part.EVIDENCE, Code.TCB_REVOKED, answers="revoked platform")
def level_revoked(world: World) -> Outcome:
    """Attests on a machine whose security version is revoked."""
    world.keep(said(status="Revoked"), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.TCB_REVOKED, answers="revoked platform")
def enclave_revoked(world: World) -> Outcome:
    """Has the quote signed by a quoting enclave whose security version is revoked."""
    return world.verify_quote(collateral=said(qe_status="Revoked"))


@attack(Part.EVIDENCE, Code.PLATFORM_NOT_ALLOWED, answers="quote relayed from another machine")
def quote_relayed(world: World) -> Outcome:
    """Has a genuine machine elsewhere answer, whose memory bus nobody guards."""
    return trained(world, Pod(machine=sibling(ppid=b"another machine!")))


@attack(Part.EVIDENCE, Code.PLATFORM_FEATURE_NOT_ALLOWED, answers="side channels of a shared core")
def machine_with_shared_cores(world: World) -> Outcome:
    """Attests on a machine whose cores are shared by two threads, one of them the attacker's."""
    return trained(world, Pod(machine=sibling(smt=True)))


@attack(Part.EVIDENCE, Code.PLATFORM_FEATURE_NOT_ALLOWED, answers="keys kept where others reach them")
def machine_with_cached_keys(world: World) -> Outcome:
    """Attests on a machine whose provisioning keys are kept by a service."""
    return trained(world, Pod(machine=sibling(cached_keys=True)))
