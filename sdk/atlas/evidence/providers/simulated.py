"""Evidence that proves nothing, from a platform without any hardware."""

from atlas.evidence.providers import Attestation
from atlas.evidence.providers.answer import attested, check_report_data
from atlas.evidence.simulator.platform import TD, UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd


class UnsafeSimulatedProvider:
    """Has quotes made by a simulated platform.

    Args:
        platform: whose root somebody must have pinned for the evidence to count as even simulated.
        td: what the quotes say.
    """

    name = "simulated"

    def __init__(self, platform: UnsafeSimulatedPlatform, td: UnsafeSimulatedTd = TD) -> None:
        self._platform = platform
        self._td = td

    def attest(self, report_data: bytes) -> Attestation:
        """A simulated quote that carries these 64 bytes, and an event log that leads to its registers.

        Raises:
            EvidenceError: if the trust domain is one that makes no quotes that Atlas reads.
        """
        check_report_data(report_data)
        return attested(self._platform.quote(report_data, self._td), report_data, self._td.event_log)
