"""The transparency log: what it records, what it answers, how that is verified, and one that needs no server.

entry       a signed digest, as Rekor v2 records it
receipt     the log's proof that it holds an entry, and the verification of it
checkpoint  the log's signed size and root
merkle      the tree's arithmetic
embedded    a log in one file (`store` is the file)
server      that log over HTTP
tiles       the tiles of any Rekor v2 or tlog-tiles log
rekor2      a Rekor v2 log that somebody else runs
rekor1      a Rekor v1 log that somebody else runs (`rekor1_wire` is its form, `promise` what its receipts add)
public      the logs that Sigstore's trust configuration names (`trust_config` is where that comes from, `choice` which)
interface   what gathering and watching need of any
watch       what a log shows, against what it has promised (`alarm` has the words, `proven` the tree, `recorded` us)
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
