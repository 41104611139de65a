"""Asking a provider for evidence of one step, bound to its key and its statement."""

from collections.abc import Callable

from atlas.evidence.binding import Context, bind
from atlas.evidence.document import Evidence, dump_evidence
from atlas.evidence.providers import Provider

Attest = Callable[[bytes, bytes], str]
"""From the signing key (DER SubjectPublicKeyInfo) and the statement's bytes to the evidence document."""

PROBE = b"0" * 64
"""Report data that bind nothing: to see whether a provider works before hours of training."""


def attestor(provider: Provider, context: Context) -> Attest:
    """What asks this provider for evidence of this attempt.

    What it returns raises `EvidenceError` if the provider cannot give any.
    """

    def attest(spki: bytes, statement: bytes) -> str:
        bound = bind(spki, context, statement)
        return dump_evidence(Evidence(provider.name, bound, provider.attest(bound.report_data)))

    return attest
