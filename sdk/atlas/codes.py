"""Every reason for which Atlas says no, once.

A code is stable for ever: scripts, dashboards and auditors match on it. `CATALOGUE` says in words what each one
means and how to mend it; `docs/findings.md` is generated from it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The stable name of a reason."""

    # The sidecar's structure: what the bytes are.
    SIDECAR_MALFORMED = "SidecarMalformed"
    SIDECAR_TOO_LARGE = "SidecarTooLarge"
    SIDECAR_TRAILING_BYTES = "SidecarTrailingBytes"
    SIDECAR_DUPLICATE_BOX = "SidecarDuplicateBox"
    SIDECAR_HIDDEN_MANIFEST = "SidecarHiddenManifest"
    SIDECAR_UNKNOWN_BOX = "SidecarUnknownBox"
    SIDECAR_SWAPPED = "SidecarSwapped"
    # What the signature covers.
    CLAIM_MALFORMED = "ClaimMalformed"
    CLAIM_SIGNATURE_INVALID = "ClaimSignatureInvalid"
    ASSERTION_CHANGED = "AssertionChanged"
    ASSERTION_UNSIGNED = "AssertionUnsigned"
    ASSERTION_MISSING = "AssertionMissing"
    HARD_BINDING_INVALID = "HardBindingInvalid"
    INGREDIENT_EMBEDDED = "IngredientEmbedded"
    INGREDIENT_MISMATCH = "IngredientMismatch"
    C2PA_REJECTED = "C2paRejected"
    # What the signer says.
    STATEMENT_MALFORMED = "StatementMalformed"
    STATEMENT_NOT_CANONICAL = "StatementNotCanonical"
    STATEMENT_VERSION_UNKNOWN = "StatementVersionUnknown"
    STATEMENT_ASSET_MISMATCH = "StatementAssetMismatch"
    # Who signed.
    SIGNER_UNTRUSTED = "SignerUntrusted"
    SIGNER_NOT_YET_VALID = "SignerNotYetValid"
    SIGNER_EXPIRED = "SignerExpired"
    SIGNER_ROLE_MISMATCH = "SignerRoleMismatch"
    SIGNER_IDENTITY_MISMATCH = "SignerIdentityMismatch"
    # The transparency log.
    NOT_LOGGED = "NotLogged"
    RECEIPT_MALFORMED = "ReceiptMalformed"
    RECEIPT_KIND_UNKNOWN = "ReceiptKindUnknown"
    RECEIPT_LOG_UNKNOWN = "ReceiptLogUnknown"
    RECEIPT_ENTRY_MISMATCH = "ReceiptEntryMismatch"
    RECEIPT_INDEX_MISMATCH = "ReceiptIndexMismatch"
    RECEIPT_TREE_SIZE_MISMATCH = "ReceiptTreeSizeMismatch"
    RECEIPT_ROOT_MISMATCH = "ReceiptRootMismatch"
    RECEIPT_INCLUSION_INVALID = "ReceiptInclusionInvalid"
    CHECKPOINT_MALFORMED = "CheckpointMalformed"
    CHECKPOINT_ORIGIN_MISMATCH = "CheckpointOriginMismatch"
    CHECKPOINT_SIGNATURE_INVALID = "CheckpointSignatureInvalid"
    CHECKPOINT_INCONSISTENT = "CheckpointInconsistent"
    # The bytes at hand.
    ARTIFACT_UNKNOWN = "ArtifactUnknown"
    ARTIFACT_CHANGED = "ArtifactChanged"
    ANCESTOR_CHANGED = "AncestorChanged"
    # The lineage.
    MANIFEST_MISSING = "ManifestMissing"
    LINK_MISMATCH = "LinkMismatch"
    UNATTESTED_ORIGIN = "UnattestedOrigin"
    LINEAGE_CYCLE = "LineageCycle"
    LINEAGE_TOO_LARGE = "LineageTooLarge"
    STEP_FORKED = "StepForked"
    STEP_FAILED = "StepFailed"
    STEP_BEFORE_INPUT = "StepBeforeInput"
    STEP_IN_FUTURE = "StepInFuture"
    INPUT_CHANGED = "InputChanged"
    INPUT_UNMEASURED = "InputUnmeasured"
    OUTPUT_UNMEASURED = "OutputUnmeasured"
    PRODUCER_AMBIGUOUS = "ProducerAmbiguous"
    # The policy.
    STEP_REQUIRED = "StepRequired"
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"
    CODE_NOT_ALLOWED = "CodeNotAllowed"
    ORIGIN_NOT_ALLOWED = "OriginNotAllowed"
    EVIDENCE_REQUIRED = "EvidenceRequired"
    TOO_OLD = "TooOld"
    METRIC_MISSING = "MetricMissing"
    METRIC_OUT_OF_RANGE = "MetricOutOfRange"
    DIGEST_DENIED = "DigestDenied"


@dataclass(frozen=True)
class Entry:
    """What a code means to a reader who has never seen it."""

    meaning: str
    """One sentence: what was found."""
    mend: str
    """One sentence: what to do about it."""


_RESIGN = "Take the sidecar from the archive or from its publisher again; if that one fails too, run the step again."
_SUSPECT = "Treat the sidecar as forged: find out who changed it, and take it from the archive again."
_RELOG = "Gather the manifest again, so that the log answers with a fresh receipt."

CATALOGUE: dict[Code, Entry] = {
    Code.SIDECAR_MALFORMED: Entry("The sidecar is not a well-formed C2PA manifest store.", _RESIGN),
    Code.SIDECAR_TOO_LARGE: Entry("The sidecar is larger than any that Atlas writes.", _SUSPECT),
    Code.SIDECAR_TRAILING_BYTES: Entry("Bytes follow the end of the manifest store.", _SUSPECT),
    Code.SIDECAR_DUPLICATE_BOX: Entry("Two boxes of the sidecar bear the same label.", _SUSPECT),
    Code.SIDECAR_HIDDEN_MANIFEST: Entry("The sidecar holds more manifests than the one it presents.", _SUSPECT),
    Code.SIDECAR_UNKNOWN_BOX: Entry("The sidecar holds a box that the Atlas profile does not have.", _SUSPECT),
    Code.SIDECAR_SWAPPED: Entry("The sidecar is of another artifact.", _RESIGN),
    Code.CLAIM_MALFORMED: Entry("The claim or its signature box is not what C2PA 2.x prescribes.", _RESIGN),
    Code.CLAIM_SIGNATURE_INVALID: Entry("The claim's signature does not verify.", _SUSPECT),
    Code.ASSERTION_CHANGED: Entry("An assertion was changed after it was signed.", _SUSPECT),
    Code.ASSERTION_UNSIGNED: Entry("An assertion is present that the signer does not vouch for.", _SUSPECT),
    Code.ASSERTION_MISSING: Entry("An assertion that the profile requires is absent.", _RESIGN),
    Code.HARD_BINDING_INVALID: Entry(
        "The sidecar is not bound to exactly one artifact by one SHA-256 digest without exclusions.", _RESIGN
    ),
    Code.INGREDIENT_EMBEDDED: Entry(
        "A parent's manifest is embedded with the signer's own word on whether it was valid.",
        "Link parents by digest, so that each one is verified by itself.",
    ),
    Code.INGREDIENT_MISMATCH: Entry("The C2PA ingredients and the statement's inputs disagree.", _SUSPECT),
    Code.C2PA_REJECTED: Entry("The C2PA library refuses the sidecar.", _RESIGN),
    Code.STATEMENT_MALFORMED: Entry("The statement does not have the fields it must have.", _RESIGN),
    Code.STATEMENT_NOT_CANONICAL: Entry("The statement is not canonical JSON (RFC 8785).", _SUSPECT),
    Code.STATEMENT_VERSION_UNKNOWN: Entry(
        "The statement is of a version that this Atlas does not know.", "Verify with a newer Atlas."
    ),
    Code.STATEMENT_ASSET_MISMATCH: Entry(
        "The sidecar is bound to an artifact that its own statement does not name as an output.", _SUSPECT
    ),
    Code.SIGNER_UNTRUSTED: Entry(
        "The signer's certificate does not lead to an authority of the trust root.",
        "If you trust that signer, add its authority to the trust root; otherwise do not use the artifact.",
    ),
    Code.SIGNER_NOT_YET_VALID: Entry(
        "The signer's certificate was not yet valid at the time of verification.",
        "Set this machine's clock, or verify at a later time with --at.",
    ),
    Code.SIGNER_EXPIRED: Entry(
        "The signer's certificate had expired at the time of verification.",
        "Run the step again, or verify at an earlier time with --at.",
    ),
    Code.SIGNER_ROLE_MISMATCH: Entry(
        "The signing authority is trusted, but not for this kind of statement.",
        "Give the authority that role in the trust root, if it should have it.",
    ),
    Code.SIGNER_IDENTITY_MISMATCH: Entry("The certificate names another signer than the statement does.", _SUSPECT),
    Code.NOT_LOGGED: Entry(
        "No transparency log vouches for the manifest.",
        "Gather the manifest, which logs it (`atlas gather`).",
    ),
    Code.RECEIPT_MALFORMED: Entry("The receipt is not a transparency log entry.", _RELOG),
    Code.RECEIPT_KIND_UNKNOWN: Entry("The receipt is of a kind or version that Atlas does not accept.", _RELOG),
    Code.RECEIPT_LOG_UNKNOWN: Entry(
        "The receipt comes from a log that the trust root does not pin.",
        "Pin the log in the trust root, if you trust it.",
    ),
    Code.RECEIPT_ENTRY_MISMATCH: Entry("The receipt is for another manifest.", _RELOG),
    Code.RECEIPT_INDEX_MISMATCH: Entry("The receipt states two different indices.", _RELOG),
    Code.RECEIPT_TREE_SIZE_MISMATCH: Entry("The receipt's tree size is not the checkpoint's.", _RELOG),
    Code.RECEIPT_ROOT_MISMATCH: Entry("The receipt's root hash is not the checkpoint's.", _RELOG),
    Code.RECEIPT_INCLUSION_INVALID: Entry("The inclusion proof does not lead to the signed root.", _RELOG),
    Code.CHECKPOINT_MALFORMED: Entry("The checkpoint is not a signed note (C2SP tlog-checkpoint).", _RELOG),
    Code.CHECKPOINT_ORIGIN_MISMATCH: Entry("The checkpoint belongs to another log.", _RELOG),
    Code.CHECKPOINT_SIGNATURE_INVALID: Entry("The log's signature on the checkpoint does not verify.", _RELOG),
    Code.CHECKPOINT_INCONSISTENT: Entry(
        "Two checkpoints of one log do not extend each other: its history was rewritten.",
        "Stop trusting the log, keep both checkpoints as proof, and tell its operator.",
    ),
    Code.ARTIFACT_UNKNOWN: Entry(
        "No manifest vouches for these bytes.",
        "Make the artifact with an instrumented pipeline, or sign it with `atlas sign` if you publish it.",
    ),
    Code.ARTIFACT_CHANGED: Entry(
        "The bytes are not those that the step wrote here.",
        "Restore the artifact from where the step stored it, or run the pipeline again.",
    ),
    Code.ANCESTOR_CHANGED: Entry(
        "An artifact of the lineage no longer has the bytes that were used.",
        "Restore it, or run the pipeline again from it, so that the model is made from what lies there.",
    ),
    Code.MANIFEST_MISSING: Entry(
        "A step says it used an artifact whose manifest is not in the archive.",
        "Gather the missing manifest (`atlas gather`), or run the step that makes it again.",
    ),
    Code.LINK_MISMATCH: Entry(
        "A step was handed other bytes than the step before it had made.",
        "Find out who changed the artifact between the two steps, then run the pipeline again.",
    ),
    Code.UNATTESTED_ORIGIN: Entry(
        "The lineage begins with bytes that nobody vouches for.",
        "Pin the importer by digest, have the publisher sign the artifact, or list its digest in the policy's origins.",
    ),
    Code.LINEAGE_CYCLE: Entry(
        "An artifact would be its own ancestor.",
        "Run the steps again in order, so that links name their parents.",
    ),
    Code.LINEAGE_TOO_LARGE: Entry(
        "The lineage has more manifests than the limit.",
        "Raise the limit, if a lineage of that size is expected.",
    ),
    Code.STEP_FORKED: Entry(
        "Two different statements claim to be the same attempt of the same step.",
        "Find out which one ran; one of the signers lies or two homes share a run's name.",
    ),
    Code.STEP_FAILED: Entry("A step of the lineage failed, and its output was used.", "Run the step again."),
    Code.STEP_BEFORE_INPUT: Entry(
        "A step says it began before its input was made.",
        "Set the clocks of the machines that ran the steps, then run them again.",
    ),
    Code.STEP_IN_FUTURE: Entry(
        "A step says it ended after the time of verification.", "Set this machine's clock, or the step's."
    ),
    Code.INPUT_CHANGED: Entry(
        "A step changed its own input while it ran.",
        "Have the step write to its outputs only, and run it again.",
    ),
    Code.INPUT_UNMEASURED: Entry(
        "A step used an input that could not be measured.",
        "Pass the input as an artifact that lies in the step's file system.",
    ),
    Code.OUTPUT_UNMEASURED: Entry(
        "A step wrote an output where it could not be measured.",
        "Have the step write to the path that it is given, not to one of its own.",
    ),
    Code.PRODUCER_AMBIGUOUS: Entry(
        "Several steps made the same bytes; the lineage follows the one named here.",
        "Nothing, unless you expected another: pass the artifact between steps, so that the link names its maker.",
    ),
    Code.STEP_REQUIRED: Entry(
        "The policy requires a step that is not in the lineage.", "Run the pipeline with that step."
    ),
    Code.IMAGE_NOT_ALLOWED: Entry("A step ran in an image that the policy does not allow.", "Use an allowed image."),
    Code.CODE_NOT_ALLOWED: Entry(
        "A step ran code that the policy does not allow.", "Have the code reviewed and listed."
    ),
    Code.ORIGIN_NOT_ALLOWED: Entry(
        "The lineage begins with an artifact or a step that the policy does not accept as an origin.",
        "List it in the policy's origins, if you trust it.",
    ),
    Code.EVIDENCE_REQUIRED: Entry(
        "The policy requires confidential-computing evidence, and the step has none that verifies.",
        "Run the step in a confidential pod.",
    ),
    Code.TOO_OLD: Entry("A step ran longer ago than the policy allows.", "Run the pipeline again."),
    Code.METRIC_MISSING: Entry(
        "No step of the lineage measured the metric that the policy asks for.",
        "Run the evaluation on this model.",
    ),
    Code.METRIC_OUT_OF_RANGE: Entry("A metric is outside the policy's bounds.", "Train a better model."),
    Code.DIGEST_DENIED: Entry(
        "The policy denies this digest.", "Remove the artifact from the pipeline, and train again without it."
    ),
}
