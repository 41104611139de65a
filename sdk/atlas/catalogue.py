"""What each code means and how to mend it, in words; `docs/findings.md` is generated from it."""

from dataclasses import dataclass

from atlas.codes import Code


@dataclass(frozen=True)
class Entry:
    """What a code means to a reader who has never seen it."""

    meaning: str
    """One sentence: what was found."""
    mend: str
    """One sentence: what to do about it."""


_RESIGN = "Take the sidecar from the archive or from its publisher again; if that one fails too, run the step again."
_SUSPECT = "Treat the sidecar as forged: find out who changed it, and take it from the archive again."
_REQUOTE = "Run the step again in a confidential pod; if its evidence fails too, look at the machine."
_RECOLLECT = "Fetch the collateral again with `atlas evidence fetch`, from the manufacturer or a service you trust."
_UNBOUND = "Treat the evidence as replayed: find out who put it there, and run the step again."
_HARDEN = "Run the step in a trust domain of a production configuration."
_PATCH = "Update the machine's firmware and run the step again, or accept the risk in the policy."
_REFERENCE = "Find out what ran there; if it should have, add its measurement to the reference values."
_UNDISCLOSED = "Ask the owner of the model to disclose the parameter again; if that fails too, it was forged."
_RELOG = "Ask the log for a fresh receipt (`atlas gather --renew`)."

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
    Code.STATEMENT_DIGESTS_MALFORMED: Entry(
        "The digests of hidden parameters are not digests, not in order, repeated, or where none may be.", _SUSPECT
    ),
    Code.PARAMETER_EXPOSED: Entry(
        "The statement tells the value of a parameter that it calls secret.",
        "Replace the secret, because it was published; then find out who signed this: the runtime never does.",
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
        "The signer's certificate had expired at the time of verification; or it lives for minutes, and nobody says "
        "that it was in force.",
        "Run the step again, or verify at an earlier time with --at; have keyless signatures timestamped.",
    ),
    Code.SIGNER_ROLE_MISMATCH: Entry(
        "The signing authority is trusted, but not for this kind of statement.",
        "Give the authority that role in the trust root, if it should have it.",
    ),
    Code.SIGNER_IDENTITY_MISMATCH: Entry("The certificate names another signer than the statement does.", _SUSPECT),
    Code.SIGNER_REVOKED: Entry("The signer is revoked, and nothing proves that the signature is older.", _RESIGN),
    Code.AUTHORITY_ENDED: Entry(
        "The signing authority had given way to another one when this was signed.",
        "Treat the old authority's key as stolen, or run the step again if it merely took too long to be logged.",
    ),
    Code.BUNDLE_MALFORMED: Entry(
        "The signature is not a Sigstore bundle v0.3.", "Ask its signer for one, by model-signing 1.0 or later."
    ),
    Code.ENVELOPE_SIGNATURE_INVALID: Entry(
        "The signature does not verify under the signer's key.",
        "Treat the signature as forged: take it from its signer again, and check that the key is the signer's.",
    ),
    Code.OMS_MALFORMED: Entry(
        "This is no signature of OpenSSF Model Signing, or it contradicts itself.", "Ask its signer for another."
    ),
    Code.OMS_SERIALIZATION_UNKNOWN: Entry(
        "The model signature is not over whole files by SHA-256.", "Ask its signer for one of the default form."
    ),
    Code.OMS_FILE_CHANGED: Entry(
        "A file of the model is not the one that was signed.", "Take the model from its publisher again."
    ),
    Code.OMS_FILE_MISSING: Entry(
        "A file that was signed is not in the model.", "Take the model from its publisher again."
    ),
    Code.OMS_FILE_UNSIGNED: Entry(
        "The model has a file that its signature does not cover.",
        "Remove the file, or take the model from its publisher again.",
    ),
    Code.OMS_IGNORES_FILES: Entry(
        "The model has files that its signature says to ignore, so nobody vouches for them.",
        "Remove them, or list them in the policy's origins.ignored if nothing ever reads them.",
    ),
    Code.OMS_SIGNER_UNTRUSTED: Entry(
        "The model was signed by somebody whom the trust root does not know.",
        "If you trust the signer, pin the key or the authority: `atlas import` with --public-key or --authority.",
    ),
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
    Code.RECEIPT_LOG_REVOKED: Entry(
        "The receipt comes from a log that is revoked.",
        "Get a receipt in the log's last good tree, if the revocation names one; otherwise run the step again.",
    ),
    Code.RECEIPT_ENTRY_MISMATCH: Entry("The receipt is for another manifest.", _RELOG),
    Code.RECEIPT_INDEX_MISMATCH: Entry("The receipt states two different indices.", _RELOG),
    Code.RECEIPT_TREE_SIZE_MISMATCH: Entry("The receipt's tree size is not the checkpoint's.", _RELOG),
    Code.RECEIPT_ROOT_MISMATCH: Entry("The receipt's root hash is not the checkpoint's.", _RELOG),
    Code.RECEIPT_INCLUSION_INVALID: Entry("The inclusion proof does not lead to the signed root.", _RELOG),
    Code.RECEIPT_PROMISE_INVALID: Entry(
        "The log's signature on the entry and its time (signed entry timestamp) does not verify.", _RELOG
    ),
    Code.RECEIPT_OUTSIDE_VALIDITY: Entry(
        "The log states a time at which its key was not in use.",
        "Log the artifact anew; if the key was in use then, correct the log's period in the trust root.",
    ),
    Code.CHECKPOINT_MALFORMED: Entry("The checkpoint is not a signed note (C2SP tlog-checkpoint).", _RELOG),
    Code.CHECKPOINT_ORIGIN_MISMATCH: Entry("The checkpoint belongs to another log.", _RELOG),
    Code.CHECKPOINT_SIGNATURE_INVALID: Entry("The log's signature on the checkpoint does not verify.", _RELOG),
    Code.CHECKPOINT_INCONSISTENT: Entry(
        "Two checkpoints of one log do not extend each other: its history was rewritten.",
        "Stop trusting the log, keep both checkpoints as proof, and tell its operator.",
    ),
    Code.COSIGNATURE_INVALID: Entry("A witness's signature on the checkpoint does not verify.", _RELOG),
    Code.WITNESS_QUORUM_MISSED: Entry(
        "Fewer witnesses have cosigned the checkpoint than the trust root demands.",
        "Ask the log again (`atlas gather --renew`): a later checkpoint may bear more. If none does, ask its operator.",
    ),
    Code.SEAL_INVALID: Entry("The seal does not lead from this manifest to the batch that the log holds.", _RELOG),
    Code.TIMESTAMP_INVALID: Entry(
        "The timestamp is not one over this signature by an authority of the trust root.",
        "Pin the timestamp authority in the trust root, if you trust it.",
    ),
    Code.TIMESTAMP_MISSING: Entry(
        "Nobody whom the trust root names says by when the manifest existed.",
        "Record with a timestamp authority (`atlas log timestamp`), or in a log that witnesses cosign.",
    ),
    Code.TIME_CONTRADICTED: Entry(
        "The step says that it ended after its signature was seen by others.", "Set the clock, and run the step again."
    ),
    Code.LOG_ROLLED_BACK: Entry(
        "The log shows a smaller tree than one that it has signed before.",
        "Ask its operator whether an old copy of it was restored or is being served; nothing may be logged there until "
        "the larger tree is back.",
    ),
    Code.LOG_STALE: Entry(
        "The log has shown the same checkpoint for longer than is allowed.",
        "Find out whether the log still takes entries, and whether others see a newer checkpoint.",
    ),
    Code.LOG_TILES_INVALID: Entry(
        "The log's tiles do not lead to the checkpoint that it signed.",
        "Ask its operator to restore the tiles, and treat whoever serves them as hostile until then.",
    ),
    Code.LOG_ENTRY_UNKNOWN: Entry(
        "The log holds an entry under an authority or a key of ours, and the archive has no such manifest.",
        "Find out who signed it: if you did, gather its manifest; otherwise revoke the authority.",
    ),
    Code.LOG_ENTRY_LOST: Entry(
        "The log no longer shows an entry that it gave a receipt for.",
        "Keep the receipt as proof, and stop trusting the log.",
    ),
    Code.EVIDENCE_MALFORMED: Entry("The evidence is not a document of the form that Atlas writes.", _SUSPECT),
    Code.EVIDENCE_PROVIDER_UNKNOWN: Entry(
        "The evidence comes from a provider that this Atlas does not know.", "Verify with a newer Atlas."
    ),
    Code.EVIDENCE_PROVIDER_MISMATCH: Entry(
        "The statement names one provider of evidence, and the evidence is of another, or is not there.",
        "Treat the step as unattested: run it again with the provider that the policy asks for.",
    ),
    Code.EVIDENCE_NOT_BOUND: Entry("The report data of the evidence binds nothing that is known here.", _UNBOUND),
    Code.EVIDENCE_KEY_MISMATCH: Entry("The evidence vouches for another key than the one that signed.", _UNBOUND),
    Code.EVIDENCE_STATEMENT_MISMATCH: Entry("The evidence vouches for another statement than this one.", _UNBOUND),
    Code.EVIDENCE_CONTEXT_MISMATCH: Entry("The evidence is of another step, another run or another attempt.", _UNBOUND),
    Code.EVIDENCE_NONCE_MISMATCH: Entry("The evidence does not carry the nonce that it was asked for with.", _UNBOUND),
    Code.QUOTE_MALFORMED: Entry("The quote cannot be read.", _REQUOTE),
    Code.QUOTE_NOT_CANONICAL: Entry("The quote is not in the one encoding that it should have.", _SUSPECT),
    Code.QUOTE_VERSION_UNKNOWN: Entry(
        "The quote is of a version or has a body that this Atlas does not know.", "Verify with a newer Atlas."
    ),
    Code.QUOTE_NOT_TDX: Entry(
        "This is no quote of an Intel TDX trust domain.",
        "Give the quote of one, or run the step in a TDX confidential pod.",
    ),
    Code.QUOTE_SIGNATURE_INVALID: Entry("The signature over the quote does not verify.", _REQUOTE),
    Code.QUOTE_ENCLAVE_INVALID: Entry("The quoting enclave that signed the quote is not Intel's.", _REQUOTE),
    Code.QUOTE_CERTIFICATE_INVALID: Entry(
        "The platform's certificate does not lead to the root of trust that vouches for evidence.",
        "If you trust that root, add it to the trust root's evidence roots; otherwise run the step on another machine.",
    ),
    Code.QUOTE_CERTIFICATE_REVOKED: Entry(
        "The platform's certificate is revoked.", "Do not trust that machine: run the step on another one."
    ),
    Code.QUOTE_REJECTED: Entry("The quote's signatures or their collateral do not verify.", _REQUOTE),
    Code.COLLATERAL_MISSING: Entry("There is no collateral by which the evidence could be judged.", _RECOLLECT),
    Code.COLLATERAL_MALFORMED: Entry("The collateral cannot be read.", _RECOLLECT),
    Code.COLLATERAL_EXPIRED: Entry("The collateral was no longer in force at that time.", _RECOLLECT),
    Code.COLLATERAL_NOT_YET_VALID: Entry("The collateral was not yet in force at that time.", _RECOLLECT),
    Code.COLLATERAL_SIGNATURE_INVALID: Entry("A signature in the collateral does not verify.", _RECOLLECT),
    Code.COLLATERAL_SIGNER_INVALID: Entry(
        "The collateral is signed with a certificate that is not for signing collateral.",
        "Treat whoever served it as hostile, and fetch it from the manufacturer.",
    ),
    Code.COLLATERAL_MISMATCH: Entry("The collateral is of another kind of platform.", _RECOLLECT),
    Code.COLLATERAL_ROLLED_BACK: Entry(
        "The collateral is older than some that was seen before.",
        "Treat whoever served it as hostile or stale, and fetch it from the manufacturer.",
    ),
    Code.COLLATERAL_STALE: Entry(
        "The evidence held when it was made, and nobody has asked since whether the platform still does.",
        "Fetch today's collateral with `atlas evidence fetch`, and verify again.",
    ),
    Code.CRL_INVALID: Entry("A certificate revocation list does not verify, or is of another authority.", _RECOLLECT),
    Code.TD_DEBUG: Entry("The trust domain can be debugged, so its host can read and change all of it.", _HARDEN),
    Code.TD_MIGRATABLE: Entry("The trust domain can be migrated to another machine.", _HARDEN),
    Code.TD_SERVICED: Entry("A service trust domain is bound to this one and may change it.", _HARDEN),
    Code.TD_SEPT_VE_ENABLED: Entry("The trust domain lets its host raise exceptions on memory accesses.", _HARDEN),
    Code.TD_ATTRIBUTE_NOT_ALLOWED: Entry("The trust domain has an attribute that is not allowed.", _HARDEN),
    Code.TD_XFAM_NOT_ALLOWED: Entry(
        "The trust domain's extended features (XFAM) are not among those allowed.", _HARDEN
    ),
    Code.TDX_MODULE_INVALID: Entry(
        "The TDX module of the platform is not Intel's, or is too old.", "Update the platform's firmware."
    ),
    Code.TCB_LEVEL_UNKNOWN: Entry(
        "The platform's security version is below every level that its manufacturer lists.",
        "Update the platform's firmware.",
    ),
    Code.TCB_REVOKED: Entry(
        "The manufacturer has revoked the platform's security version.", "Update the platform's firmware."
    ),
    Code.EVENT_LOG_MALFORMED: Entry("The event log cannot be read.", _REQUOTE),
    Code.EVENT_LOG_MISMATCH: Entry("The event log does not lead to the measurements in the quote.", _SUSPECT),
    Code.EVENT_DATA_MISMATCH: Entry("An event's data are not those that were measured.", _SUSPECT),
    Code.GPU_REPORT_MALFORMED: Entry("The GPU's report cannot be read.", _REQUOTE),
    Code.GPU_CERTIFICATE_INVALID: Entry(
        "The GPU's certificates do not lead to the root of trust that vouches for GPUs.",
        "If you trust that root, add it to the trust root's evidence roots.",
    ),
    Code.GPU_SIGNATURE_INVALID: Entry("The signature over the GPU's report does not verify.", _REQUOTE),
    Code.GPU_NONCE_MISMATCH: Entry("The GPU's report was made for another step.", _UNBOUND),
    Code.EVIDENCE_SIMULATED: Entry(
        "The evidence is simulated, which proves nothing, and the policy does not allow that.",
        "Run the step in a real confidential pod, or allow simulated evidence where nothing is at stake.",
    ),
    Code.EVIDENCE_ROOT_NOT_ALLOWED: Entry(
        "The root that vouches for the evidence is not among those that the policy allows.",
        "Name the root in the policy, if it should count.",
    ),
    Code.TCB_STATUS_NOT_ALLOWED: Entry("The platform's status is not among those that the policy allows.", _PATCH),
    Code.TCB_ADVISORY_NOT_ALLOWED: Entry(
        "The platform is open to an advisory that the policy does not accept.", _PATCH
    ),
    Code.TCB_TOO_OLD: Entry("The platform was judged by collateral, or is at a level, older than allowed.", _PATCH),
    Code.TCB_DEGRADED: Entry(
        "The manufacturer thinks worse of the platform today than when the step ran.",
        "Read the advisory, decide whether what the step did is affected, and run it again on a mended platform.",
    ),
    Code.QE_STATUS_NOT_ALLOWED: Entry(
        "The quoting enclave's status is not among those that the policy allows.", _PATCH
    ),
    Code.PLATFORM_NOT_ALLOWED: Entry(
        "The machine is not among those that the policy lists.", "List the machine's PPID, if it should count."
    ),
    Code.PLATFORM_FEATURE_NOT_ALLOWED: Entry("The machine has a feature that the policy does not allow.", _PATCH),
    Code.MRTD_NOT_ALLOWED: Entry("MRTD, the firmware, is not a reference value.", _REFERENCE),
    Code.MRSEAM_NOT_ALLOWED: Entry("MRSEAM, the TDX module, is not a reference value.", _REFERENCE),
    Code.RTMR0_NOT_ALLOWED: Entry("RTMR0, the firmware's configuration, is not a reference value.", _REFERENCE),
    Code.RTMR1_NOT_ALLOWED: Entry("RTMR1, the boot loader and kernel, is not a reference value.", _REFERENCE),
    Code.RTMR2_NOT_ALLOWED: Entry(
        "RTMR2, the command line and initial file system, is not a reference value.", _REFERENCE
    ),
    Code.RTMR3_NOT_ALLOWED: Entry("RTMR3, what ran later, is not a reference value.", _REFERENCE),
    Code.MRCONFIGID_NOT_ALLOWED: Entry(
        "MRCONFIGID, the pod's configuration and the policy of its agent, is not a reference value.", _REFERENCE
    ),
    Code.MROWNER_NOT_ALLOWED: Entry("MROWNER or MROWNERCONFIG is not a reference value.", _REFERENCE),
    Code.EVENT_LOG_MISSING: Entry(
        "The evidence has no event log, and the policy requires one.",
        "Enable the event log in the confidential pod's configuration.",
    ),
    Code.EVENT_REQUIRED: Entry("The event log lacks an event that the policy requires.", _REFERENCE),
    Code.GPU_REQUIRED: Entry(
        "The policy requires evidence of a confidential GPU, and there is none that holds.",
        "Run the step on a GPU in confidential mode.",
    ),
    Code.ARTIFACT_UNKNOWN: Entry(
        "No manifest vouches for these bytes.",
        "Make the artifact with an instrumented pipeline, or sign it with `atlas sign` if you publish it.",
    ),
    Code.ARTIFACT_CHANGED: Entry(
        "The bytes are not those that the step wrote here.",
        "Restore the artifact from where its maker stored it, or have it made again.",
    ),
    Code.ANCESTOR_CHANGED: Entry(
        "An artifact of the lineage no longer has the bytes that were used.",
        "Restore it, or run the pipeline again from it, so that the model is made from what lies there.",
    ),
    Code.ANCESTOR_MISSING: Entry(
        "An artifact of the lineage is no longer where it was left, so it was not measured again.",
        "Nothing, if it was cleared away on purpose; otherwise restore it, and verify again.",
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
    Code.DISCLOSURE_MALFORMED: Entry("A disclosure cannot be read.", _UNDISCLOSED),
    Code.DISCLOSURE_INVALID: Entry(
        "A disclosure shows what the statement that it names does not commit to.", _UNDISCLOSED
    ),
    Code.DISCLOSURE_UNRELATED: Entry(
        "A disclosure is of a statement that is not in this lineage.",
        "Verify the artifact that it was made for, or have it made for this one.",
    ),
    Code.DISCLOSURE_CONFLICT: Entry(
        "A disclosure gives a value to a parameter that the statement says itself, calls secret, or commits to twice.",
        "Do not trust the step: its runtime commits to each parameter once.",
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
    Code.PARAMETER_MISSING: Entry(
        "No step of the lineage has the parameter that the policy asks for.",
        "Run the pipeline with that step and that parameter.",
    ),
    Code.PARAMETER_UNDISCLOSED: Entry(
        "The policy asks for a parameter that the step keeps back.",
        "Have its owner disclose it (`atlas disclose`); what is marked secret can never be, so mark it confidential.",
    ),
    Code.PARAMETER_NOT_ALLOWED: Entry(
        "A parameter has a value that the policy does not allow.", "Run the pipeline with an allowed value."
    ),
    Code.DIGEST_DENIED: Entry(
        "The policy denies this digest.", "Remove the artifact from the pipeline, and train again without it."
    ),
}
