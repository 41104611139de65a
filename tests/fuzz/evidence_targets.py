"""Readers of evidence: quotes and collateral under a signature, the document, the event log, a GPU's report."""

import datetime as dt
import json
from typing import Any

from atlas.errors import Rejected
from atlas.evidence.binding import Context, bind
from atlas.evidence.document import Evidence, dump_evidence, parse_evidence
from atlas.evidence.nvidia.verify import gpu_nonce, verify_gpu
from atlas.evidence.providers import Attestation, GpuAttestation
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd, agent_event
from atlas.evidence.tdx.aael import measured_events
from atlas.evidence.tdx.collateral import parse_collateral
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.replay import check_replay
from atlas.evidence.tdx.verify import platform_of, verify_quote
from fuzz.mutate import BYTES, JSON
from fuzz.target import Seed, Target, Violation
from support.eventlogs import dump_event_log


def evidence_targets(now: dt.datetime) -> tuple[Target, ...]:
    """All of them, about one simulated platform."""
    platform = UnsafeSimulatedPlatform.new(now)
    td = UnsafeSimulatedTd().extended(agent_event("kubernetes.io", "pull", "image"))
    return _quotes(platform, td, now), _documents(platform, td), _gpus(now)


def _quotes(platform: UnsafeSimulatedPlatform, td: UnsafeSimulatedTd, now: dt.datetime) -> Target:
    known, root = platform.collateral(now), platform.root
    quotes = {version: platform.quote(b"r" * 64, td, version) for version in (4, 5)}

    def read_quote(raw: bytes) -> object:
        quote = parse_quote(raw)
        platform_of(quote)
        found = verify_quote(quote, known, root, now)
        return found.quote.identity, found.platform

    def read_collateral(raw: bytes) -> object:
        collateral = parse_collateral(raw)
        if parse_collateral(collateral.raw) != collateral:
            raise Violation("quote", "collateral that is not what it was written as", raw)
        return verify_quote(parse_quote(quotes[4]), collateral, root, now).platform

    def read_log(raw: bytes) -> object:
        log = parse_event_log(raw)
        if parse_event_log(dump_event_log(log)) != log:
            raise Violation("quote", "an event log that is not what it was written as", raw)
        measured_events(log)
        check_replay(log, td.registers)
        return [event.digest for event in log.events if event.extends]

    seeds = [Seed(f"version {version}", raw, read_quote, BYTES, read_quote(raw)) for version, raw in quotes.items()]
    seeds.append(Seed("collateral", known.raw, read_collateral, JSON, read_collateral(known.raw)))
    seeds.append(Seed("event log", td.event_log, read_log, BYTES, read_log(td.event_log)))
    return Target("quote", Rejected, tuple(seeds))


def _documents(platform: UnsafeSimulatedPlatform, td: UnsafeSimulatedTd) -> Target:
    bound = bind(b"key", Context("pipeline", "run", "task", 0, "nonce"), b"statement")
    gpu = (GpuAttestation(b"report", "chain"),)
    text = dump_evidence(Evidence("simulated", bound, Attestation(platform.quote(b"r" * 64, td), td.event_log, gpu)))

    def read(raw: bytes) -> object:
        given: Any = raw.decode("utf-8", "surrogateescape")
        try:
            given.encode()
        except UnicodeEncodeError:
            return None  # a manifest's text is UTF-8 before anybody reads evidence in it
        evidence = parse_evidence(given)
        if dump_evidence(evidence).encode() != raw:
            raise Violation("evidence", "not the one encoding of what it says", raw)
        json.loads(given)
        return None

    return Target("evidence", Rejected, (Seed("document", text.encode(), read, JSON),))


def _gpus(now: dt.datetime) -> Target:
    gpu, digest = UnsafeSimulatedGpu(), b"d" * 48
    report, chain = gpu.report(gpu_nonce(digest)), gpu.chain_pem

    def read_report(raw: bytes) -> object:
        return verify_gpu(raw, chain, digest, [gpu.root], now)

    def read_chain(raw: bytes) -> object:
        return verify_gpu(report, raw, digest, [gpu.root], now)

    return Target(
        "gpu",
        Rejected,
        (
            Seed("report", report, read_report, BYTES, read_report(report)),
            Seed("chain", chain, read_chain, BYTES, read_chain(chain)),
        ),
    )
