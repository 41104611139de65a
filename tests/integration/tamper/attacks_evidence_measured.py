"""Attacks on what was measured: registers, reference values, event logs and GPUs."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

from atlas.codes import Code
from atlas.errors import InputError
from atlas.evidence.providers import Attestation
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.td import UnsafeSimulatedEvent, UnsafeSimulatedTd, agent_event
from atlas.evidence.tdx.eventlog import EV_NO_ACTION, parse_event_log
from atlas.publish import TYPES
from atlas.statement import Publisher, Step
from integration.tamper.attacks_evidence import trained
from integration.tamper.registry import Part, attack
from integration.tamper.world import MEASURED, TD, Outcome, Pod, World
from support import forge
from support.eventlogs import dump_event_log

EVIL = b"\xe0" * 48
LAST = len(TD.events) - 1
"""Place of the agent's event, of which there is one."""


# ------------------------------------------------------------------------------------------------ registers


@attack(Part.EVIDENCE, Code.MRTD_NOT_ALLOWED, answers="any firmware")
def firmware_exchanged(world: World) -> Outcome:
    """Starts the trust domain with firmware of its own."""
    return trained(world, Pod(td=replace(TD, mr_td=EVIL)))


@attack(Part.EVIDENCE, Code.MRSEAM_NOT_ALLOWED, answers="any TDX module")
def module_exchanged(world: World) -> Outcome:
    """Loads another TDX module of the manufacturer than the one that was looked at."""
    return trained(world, Pod(td=replace(TD, mr_seam=EVIL)))


def exchanged(place: int, data: bytes) -> UnsafeSimulatedTd:
    """The honest trust domain, started with something else in the place of one thing that is measured."""
    events = list(TD.events)
    events[place] = replace(events[place], data=data)
    return replace(TD, events=tuple(events))


@attack(Part.EVIDENCE, Code.RTMR0_NOT_ALLOWED, answers="any firmware configuration")
def firmware_configured_otherwise(world: World) -> Outcome:
    """Configures the trust domain's firmware otherwise."""
    return trained(world, Pod(td=exchanged(0, b"secure boot off")))


@attack(Part.EVIDENCE, Code.RTMR1_NOT_ALLOWED, answers="any kernel")
def kernel_exchanged(world: World) -> Outcome:
    """Boots a kernel of its own."""
    return trained(world, Pod(td=exchanged(1, b"kernel with a back door")))


@attack(Part.EVIDENCE, Code.RTMR2_NOT_ALLOWED, answers="any command line")
def command_line_extended(world: World) -> Outcome:
    """Adds to the kernel's command line what gives it a shell."""
    return trained(world, Pod(td=exchanged(2, b"Atlas SIMULATED command line init=/bin/sh")))


@attack(Part.EVIDENCE, Code.RTMR3_NOT_ALLOWED, answers="anything started later")
def container_added(world: World) -> Outcome:
    """Pulls one more container into the pod, which the agent measures."""
    return trained(world, Pod(td=TD.extended(agent_event(MEASURED["domain"], "PullImage", "mallory.example/spy"))))


@attack(Part.EVIDENCE, Code.MRCONFIGID_NOT_ALLOWED, answers="any pod configuration")
def initdata_exchanged(world: World) -> Outcome:
    """Starts the pod with initdata whose agent policy allows a shell."""
    return trained(world, Pod(td=replace(TD, mr_config_id=EVIL)))


@attack(Part.EVIDENCE, Code.MROWNER_NOT_ALLOWED, answers="any owner")
def owner_exchanged(world: World) -> Outcome:
    """Starts the trust domain under another owner."""
    return trained(world, Pod(td=replace(TD, mr_owner=EVIL)))


@attack(Part.EVIDENCE, Code.MROWNER_NOT_ALLOWED, answers="any owner")
def owner_s_configuration_exchanged(world: World) -> Outcome:
    """Starts the trust domain with another configuration of its owner's."""
    return trained(world, Pod(td=replace(TD, mr_owner_config=EVIL)))


# ------------------------------------------------------------------------------------------------ reference values


def referred(world: World, td: UnsafeSimulatedTd, sign: Callable[[World], object]) -> Outcome:
    """Verify a model trained in a domain of the attacker's, by a file of references that lists it."""
    made = world.attested_pipeline("run-2", signing={"train": world.attested(Pod(td=td))})
    reference = world.reference_values(td)
    sign(world)
    return world.verify(made["model"], policy=world.evidence_policy(), reference=reference)


@attack(Part.EVIDENCE, refused=InputError, answers="reference values of anybody")
def references_unsigned(world: World) -> Outcome:
    """Hands over reference values that list its own trust domain, which nobody has signed."""
    return referred(world, replace(TD, mr_td=EVIL), lambda _: None)


@attack(Part.EVIDENCE, refused=InputError, answers="reference values swapped")
def references_swapped(world: World) -> Outcome:
    """Writes its own reference values over those that a publisher had signed, and leaves the signature beside."""
    world.publish(world.reference_values(), schema=TYPES["reference"])
    return referred(world, replace(TD, mr_td=EVIL), lambda _: None)


@attack(Part.EVIDENCE, refused=InputError, answers="self-signed attacker certificate")
def references_of_a_stranger(world: World) -> Outcome:
    """Signs its own reference values with a publisher's key that nobody trusts."""

    def sign(world: World) -> None:
        path = world.root / "reference.yaml"
        world.publish(path, publisher=Publisher("acme"), issuer=forge.authority(), schema=TYPES["reference"])

    return referred(world, replace(TD, mr_td=EVIL), sign)


@attack(Part.EVIDENCE, refused=InputError, answers="any signature for anything")
def references_signed_as_data(world: World) -> Outcome:
    """Has a publisher sign its reference values as a data set."""
    return referred(world, replace(TD, mr_td=EVIL), lambda world: world.publish(world.root / "reference.yaml"))


@attack(Part.EVIDENCE, refused=InputError, answers="any signature for anything")
def references_signed_by_a_step(world: World) -> Outcome:
    """Has a step of a pipeline make reference values, which only publishers may."""

    def sign(world: World) -> None:
        path = world.root / "reference.yaml"
        made = forge.output(path.read_bytes(), name="reference", uri=str(path), schema=TYPES["reference"])
        honest = world.model.sidecar.manifest.statement
        assert isinstance(honest.maker, Step)
        maker = replace(honest.maker, run="run-3", task="refer")
        world.deposit(*world.sign(replace(honest, maker=maker, inputs=(), outputs=(made,)), world.home.issuer()))

    return referred(world, replace(TD, mr_td=EVIL), sign)


@attack(Part.EVIDENCE, Code.MRTD_NOT_ALLOWED, answers="parts of several references")
def references_mixed(world: World) -> Outcome:
    """Runs the firmware of one signed reference with the kernel of another."""
    kernel = exchanged(1, b"kernel of the next release")
    signed = world.publish(world.reference_values(kernel), schema=TYPES["reference"])
    made = world.attested_pipeline("run-2", signing={"train": world.attested(Pod(td=replace(kernel, mr_td=EVIL)))})
    return world.verify(made["model"], policy=world.evidence_policy(), reference=signed.path)


# ------------------------------------------------------------------------------------------------ event logs


def logged(world: World, change: Callable[[bytes], bytes | None], td: UnsafeSimulatedTd = TD) -> Outcome:
    """Verify a model whose training presents another event log than the one that leads to its quote."""

    def swap(given: Attestation) -> Attestation:
        return replace(given, event_log=change(given.event_log or b""))

    return trained(world, Pod(td=td, change=swap))


@attack(Part.EVIDENCE, Code.EVENT_LOG_MALFORMED, answers="a log read as far as it goes")
def event_log_cut_off(world: World) -> Outcome:
    """Cuts the event log off in the middle of an event."""
    return logged(world, lambda raw: raw[:-40])


@attack(Part.EVIDENCE, Code.EVENT_LOG_MALFORMED, answers="bytes that nobody measured")
def event_log_with_a_tail(world: World) -> Outcome:
    """Hides events after the end of the event log."""
    return logged(world, lambda raw: raw + TD.events[LAST].entry)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISSING, answers="event log dropped")
def event_log_dropped(world: World) -> Outcome:
    """Leaves the event log out."""
    return logged(world, lambda _: None)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISMATCH, answers="event log edited")
def event_edited(world: World) -> Outcome:
    """Writes the name of another kernel into the event log, with its digest."""
    return logged(world, lambda _: exchanged(1, b"kernel that was looked at").event_log)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISMATCH, answers="event log edited")
def event_dropped(world: World) -> Outcome:
    """Drops from the event log that one more container was pulled."""
    spied = TD.extended(agent_event(MEASURED["domain"], "PullImage", "mallory.example/spy"))
    return logged(world, lambda _: TD.event_log, spied)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISMATCH, answers="event log edited")
def event_added(world: World) -> Outcome:
    """Adds to the event log a check that never took place."""
    return logged(world, lambda _: TD.extended(agent_event("mallory", "Scan", "clean")).event_log)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISMATCH, answers="event log edited")
def events_reordered(world: World) -> Outcome:
    """Puts what was measured last before what was measured first."""
    early, late = agent_event("mallory", "Open", "door"), agent_event("mallory", "Close", "door")
    honest = UnsafeSimulatedTd(events=(*TD.events, early, late))
    return logged(world, lambda _: replace(honest, events=(*TD.events, late, early)).event_log, honest)


@attack(Part.EVIDENCE, Code.EVENT_LOG_MISMATCH, answers="event log edited")
def event_log_of_a_sibling(world: World) -> Outcome:
    """Presents the event log of another trust domain."""
    return logged(world, lambda _: UnsafeSimulatedTd(events=(UnsafeSimulatedEvent(3, b"all is well"),)).event_log)


@attack(Part.EVIDENCE, Code.EVENT_DATA_MISMATCH, answers="words that nobody measured")
def event_reworded(world: World) -> Outcome:
    """Rewords an event of the agent's, and leaves its digest."""
    spied = TD.extended(agent_event(MEASURED["domain"], "PullImage", "mallory.example/spy"))
    return logged(world, lambda raw: raw.replace(b"mallory.example/spy", b"registry.example/ok"), spied)


@attack(Part.EVIDENCE, Code.EVENT_DATA_MISMATCH, answers="words that nobody measured")
def event_that_extends_nothing(world: World) -> Outcome:
    """Has an event that extends no register say what the policy asks for."""

    idle = replace(TD.events[LAST], kind=EV_NO_ACTION)
    silent = replace(TD, events=TD.events[:LAST])
    return logged(world, lambda _: silent.extended(idle).event_log, silent)


@attack(Part.EVIDENCE, Code.EVENT_REQUIRED, answers="what was done left unsaid")
def event_hidden(world: World) -> Outcome:
    """Takes the words of an event away, and leaves its digest, so that the log leads to the quote."""

    def change(raw: bytes) -> bytes:
        log = parse_event_log(raw)
        return dump_event_log(replace(log, events=(*log.events[:LAST], replace(log.events[LAST], data=b""))))

    return logged(world, change)


@attack(
    Part.EVIDENCE,
    Code.EVENT_REQUIRED,
    answers="what was done left unsaid",
    inherent=(Code.RTMR3_NOT_ALLOWED,),  # the register has what was measured instead
)
def event_of_another_image(world: World) -> Outcome:
    """Pulls another image than the one that the policy asks for."""
    return trained(world, Pod(td=exchanged(LAST, agent_event(**{**MEASURED, "content": "mallory.example"}).data)))


# ------------------------------------------------------------------------------------------------ GPUs


def with_report(change: Callable[[bytes], bytes]) -> Pod:
    """A pod that presents another report than its GPU's."""

    def swap(given: Attestation) -> Attestation:
        return replace(given, gpu=tuple(replace(each, report=change(each.report)) for each in given.gpu))

    return Pod(change=swap)


@attack(Part.EVIDENCE, Code.GPU_REPORT_MALFORMED, answers="a report read as far as it goes")
def gpu_report_with_a_tail(world: World) -> Outcome:
    """Appends a second report of a GPU to the first."""
    return trained(world, with_report(lambda report: report + report))


@attack(Part.EVIDENCE, Code.GPU_CERTIFICATE_INVALID, answers="the evidence chooses its own trust root")
def gpu_of_another_manufacturer(world: World) -> Outcome:
    """Presents a GPU of its own making, under a root of the same name."""
    return trained(world, Pod(gpu=UnsafeSimulatedGpu()))


@attack(Part.EVIDENCE, Code.GPU_CERTIFICATE_INVALID, answers="only the last certificate checked")
def gpu_under_a_borrowed_root(world: World) -> Outcome:
    """Puts the trusted root's certificate at the end of the chain of a GPU of its own making."""
    own = UnsafeSimulatedGpu().chain_pem.decode("ascii")

    def swap(given: Attestation) -> Attestation:
        begin, root = "-----BEGIN CERTIFICATE-----", given.gpu[0].chain_pem.rpartition("-----BEGIN CERTIFICATE-----")[2]
        return replace(given, gpu=(replace(given.gpu[0], chain_pem=own.rpartition(begin)[0] + begin + root),))

    return trained(world, Pod(change=swap))


@attack(Part.EVIDENCE, Code.GPU_SIGNATURE_INVALID, answers="signature never checked")
def gpu_measurement_rewritten(world: World) -> Outcome:
    """Rewrites a measurement in the report of a GPU."""
    return trained(world, with_report(lambda report: report[:60] + bytes([report[60] ^ 1]) + report[61:]))


@attack(Part.EVIDENCE, Code.GPU_SIGNATURE_INVALID, answers="GPU report of a sibling step")
def gpu_report_relabelled(world: World) -> Outcome:
    """Writes the nonce of its own step into the report that a GPU made for a sibling."""

    def swap(given: Attestation) -> Attestation:
        [mine], [other] = given.gpu, Pod().attest(base64.urlsafe_b64encode(bytes(48))).gpu
        report = other.report[:4] + mine.report[4:36] + other.report[36:]
        return replace(given, gpu=(replace(other, report=report),))

    return trained(world, Pod(change=swap))


@attack(Part.EVIDENCE, Code.GPU_NONCE_MISMATCH, answers="GPU report of a sibling step")
def gpu_report_of_a_sibling(world: World) -> Outcome:
    """Trains on a GPU that is not confidential, and presents the report that another was asked for by a sibling."""
    return trained(world, Pod(gpu_binding=hashlib.sha384(b"sibling").digest()))


@attack(Part.EVIDENCE, Code.GPU_NONCE_MISMATCH, answers="one good report covers for a bad one")
def gpu_report_beside_an_old_one(world: World) -> Outcome:
    """Presents an old report of a second GPU beside an honest one of the first."""
    old = Pod(gpu_binding=bytes(48))

    def swap(given: Attestation) -> Attestation:
        return replace(given, gpu=given.gpu + old.attest(bytes(64)).gpu)

    return trained(world, Pod(change=swap))


@attack(Part.EVIDENCE, Code.GPU_REQUIRED, answers="the evidence chooses its own trust root")
def gpu_under_a_root_that_the_policy_does_not_list(world: World) -> Outcome:
    """Shows a GPU whose root the trust root has and the policy does not list."""
    return trained(world, roots=["simulated"])


@attack(Part.EVIDENCE, Code.GPU_REQUIRED, answers="no evidence taken for good evidence")
def gpu_left_out(world: World) -> Outcome:
    """Trains on a GPU that is not confidential, and presents none."""
    return trained(world, Pod(change=lambda given: replace(given, gpu=())))
