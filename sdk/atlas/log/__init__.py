"""The transparency log: what it records, what it answers, how that is verified, and one that needs no server.

What is recorded, and what proves it:
    entry       a signed digest, as Rekor v2 records it (`claim` is that of a manifest)
    seal        commitments in the place of entries, for those who show the log less
    receipt     the log's proof that it holds an entry, and the verification of it
    promise     what a receipt of Rekor v1 adds: the log's word on an entry and its time
    timestamp   somebody else's word on the time (RFC 3161)
    proof       all of these for one manifest: receipt, seal and timestamps
    checkpoint  the log's signed size and root (`witness`: who has cosigned it)
    merkle      the tree's arithmetic
    encoding    one spelling for every value

Logs:
    interface   what gathering and watching need of any
    embedded    a log in one file (`store` is the file)
    server      that log over HTTP
    rekor2      a Rekor v2 log that somebody else runs (`unheard`: what it may have taken, `tail`: what it did take)
    rekor1      a Rekor v1 log that somebody else runs (`rekor1_wire` is its form)
    client      what clients of both do alike (`retry`: when they ask again)
    public      the logs that Sigstore's trust configuration names (`trust_config`: whence, `choice`: which)

Reading and watching:
    tiles       the tiles of any Rekor v2 or tlog-tiles log (`proven`: the tree that they prove)
    look        what a log shows, against what it has promised (`alarm` has the words): `watch` through its tiles,
                `watch1` of Rekor v1, which serves none
    ours        who signed what a log records, and whether it is one of ours
"""

from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.embedded import Appended, EmbeddedLog
from atlas.log.entry import Algorithm, Entry, parse_request
from atlas.log.merkle import leaf_hash, verify_consistency
from atlas.log.receipt import Logged, Receipt, parse_receipt, verify_receipt

__all__ = [
    "Algorithm",
    "Appended",
    "Checkpoint",
    "EmbeddedLog",
    "Entry",
    "Logged",
    "Receipt",
    "leaf_hash",
    "open_checkpoint",
    "parse_receipt",
    "parse_request",
    "verify_consistency",
    "verify_receipt",
]
