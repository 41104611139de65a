"""Who gives a step its evidence. One provider is chosen in so many words; none stands in for another.

    none        no evidence
    simulated   evidence that proves nothing, from `atlas.evidence.simulator`
    tdx         the kernel of the trust domain that the process runs in (configfs-tsm)
    coco        the agent of Confidential Containers in the same pod

They run inside pipeline steps, so they import little. None asks whether what it got is genuine, only whether it carries
the report data that it was asked for with.
"""

from dataclasses import dataclass
from typing import Protocol

SIMULATED = "simulated"
"""The provider whose evidence proves nothing; and what its root is called in the trust root of its home."""
PROVIDERS = ("none", SIMULATED, "tdx", "coco")


@dataclass(frozen=True)
class GpuAttestation:
    """One GPU's report and its certificates, not verified."""

    report: bytes
    chain_pem: str


@dataclass(frozen=True)
class Attestation:
    """What a provider gave, not verified."""

    quote: bytes
    event_log: bytes | None
    gpu: tuple[GpuAttestation, ...] = ()


class Provider(Protocol):
    """Gives evidence of the trust domain that the process runs in."""

    name: str

    def attest(self, report_data: bytes) -> Attestation:
        """Evidence that carries these 64 bytes.

        Raises:
            EvidenceError: if there is none to be had.
        """
        ...
