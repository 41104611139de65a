"""Who vouches for the machine that a step ran on, in a few words for people."""

from atlas.evidence.appraise import Appraisal
from atlas.lineage.facts import Facts
from atlas.statement import FAILED_EVIDENCE, NO_EVIDENCE

_DIGITS = 40
"""How much is shown of a provider's name, which is the signer's word where its evidence does not hold."""


def attested_by(facts: Facts) -> str:
    """Provider, root and state, as in `tdx, intel: UpToDate`; empty if nobody was asked for evidence."""
    stated = facts.manifest.statement.evidence
    if facts.evidence:
        return _vouched(facts.evidence)
    if facts.evidence_rejection:
        return f"✗ {stated[:_DIGITS]}"
    return "" if stated == NO_EVIDENCE else f"{stated.removeprefix(FAILED_EVIDENCE)[:_DIGITS]} failed"


def _vouched(evidence: Appraisal) -> str:
    root, provider = evidence.root, evidence.provider
    who = provider if provider == root.name else f"{provider}, {root.name}"
    return f"{who} (proves nothing)" if root.simulated else f"{who}: {evidence.verified.platform.status}"
