"""What every provider checks of what it was given, before it hands it on. Whether it is genuine is not asked here."""

from atlas.errors import EvidenceError, InputError, Rejected
from atlas.evidence.document import MAX_BYTES
from atlas.evidence.providers import Attestation, GpuAttestation
from atlas.evidence.tdx.quote import parse_quote

REPORT_DATA_BYTES = 64
_LARGEST = (MAX_BYTES - 8192) // 4 * 3  # in base64, and something else with it
_FAULTY = "this is a fault of the platform's software: update the guest's kernel and components"


def check_report_data(report_data: bytes) -> None:
    """Refuse to ask for something else than 64 bytes: platforms fill up what is shorter.

    Raises:
        InputError: if they are not.
    """
    if len(report_data) != REPORT_DATA_BYTES:
        raise InputError(f"report data are {REPORT_DATA_BYTES} bytes, not {len(report_data)}")


def attested(
    quote: bytes, report_data: bytes, event_log: bytes | None, gpu: tuple[GpuAttestation, ...] = ()
) -> Attestation:
    """An attestation of a quote that carries these report data, without the zeros that may follow it.

    Raises:
        EvidenceError: if it is no quote, carries other report data, or is too large for a manifest.
    """
    try:
        parsed = parse_quote(quote)
    except Rejected as error:
        detail = ": ".join(filter(None, (str(error), error.found)))
        raise EvidenceError(f"what came is not a quote: {detail}", mend=_FAULTY) from error
    if parsed.report.report_data != report_data:
        raise EvidenceError(
            f"the quote carries other report data than it was asked for with: {parsed.report.report_data.hex()}",
            mend="let nothing else ask for quotes in this trust domain meanwhile, and run the step again",
        )
    size = len(parsed.raw) + len(event_log or b"") + sum(len(each.report) + len(each.chain_pem) for each in gpu)
    if size > _LARGEST:
        raise EvidenceError(
            f"the evidence has {size} bytes, and a manifest takes at most {_LARGEST}",
            mend="measure less into the event log, or run the step with fewer GPUs",
        )
    return Attestation(parsed.raw, event_log, gpu)
