"""Revoking: writing into a home's trust root what no longer counts, and up to where it still does."""

import datetime as dt
import re
from dataclasses import replace

from cryptography.hazmat.primitives import hashes

from atlas.archive import Archive
from atlas.errors import InputError
from atlas.home import Home
from atlas.home_trust import change_trust
from atlas.interop.verify import read_manifest
from atlas.keys import key_digest
from atlas.log import leaf_hash
from atlas.log.claim import claim_entry
from atlas.log.proof import parse_proof
from atlas.log.seal import sealed_entry
from atlas.logs import elsewhere, pinned_as
from atlas.past_logs import own_origins, past_log, sizes
from atlas.revocation import Cut, Revocation, Subject, TreeHead
from atlas.trust import TrustRoot

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_ROTATE = "take it out of use first: `atlas keys rotate`"


def revoke(home: Home, archive: Archive, revocation: Revocation) -> Revocation:
    """Write a revocation into the home's trust root; whatever waits should be gathered first.

    Of one of its own logs, which must be closed, receipts in its last tree still count, and the archive gets these.

    Returns:
        What was written.

    Raises:
        InputError: if it is of what the home itself signs or records with.
        Rejected: if the archive holds a receipt of that log that cannot be read.
        StorageError: if it cannot be written.
    """
    if revocation.subject is Subject.LOG:
        revocation = _closed(home, archive, revocation)
    elif (revocation.subject, revocation.value) in _present(home):
        raise InputError(f"{revocation.value}: the home signs with this", mend=_ROTATE)
    change_trust(home, lambda trust: _revoking(trust, revocation))
    return revocation


def _revoking(trust: TrustRoot, revocation: Revocation) -> TrustRoot:
    return trust if revocation in trust.revoked else replace(trust, revoked=(*trust.revoked, revocation))


def subject_of(trust: TrustRoot, name: str, kind: Subject | None) -> tuple[Subject, str]:
    """What a person means who names an authority, a log, or a digest.

    Args:
        trust: whose authorities and logs may be named.
        name: of an authority or a log, or `sha256:` and 64 hex digits.
        kind: what the digest is of; absent: of a pinned authority's certificate.

    Raises:
        InputError: if it is none of them, or several.
    """
    match = _DIGEST.fullmatch(name)
    if match and kind:
        return kind, match[1]
    found = {
        (Subject.AUTHORITY, each.sha256) for each in trust.authorities if name in (each.name, f"sha256:{each.sha256}")
    }
    found |= {(Subject.LOG, each.origin) for each in trust.logs if each.origin == name}
    if len(found) == 1 and not kind:
        return found.pop()
    if match:
        raise InputError(
            f"{name}: no authority of the trust root", mend="say what it is of: --as certificate, key or authority"
        )
    raise InputError(
        f"{name}: {'several' if found else 'no'} authorities or logs of the trust root have this name",
        mend="name it by its fingerprint, as `atlas keys list` shows it",
    )


def cut_of(home: Home, since: dt.datetime | None, now: dt.datetime) -> Cut:
    """Up to where signatures still count.

    Args:
        home: whose logs tell the order.
        since: the last good moment; None if nothing counts any more.
        now: if it is the same, what is logged by now counts too, for which no clock is needed.

    Raises:
        InputError: if it lies in the future.
        StorageError, FetchError, Rejected: if a log does not say how many entries it has.
    """
    if since is None:
        return Cut()
    if since > now:
        raise InputError(
            f"--since {since:%FT%TZ}: lies in the future", mend="a key is revoked from now on at the latest"
        )
    return Cut(since, sizes(home) if since == now else ())


def _present(home: Home) -> set[tuple[Subject, str]]:
    """What the home signs with."""
    certificate = home.certificate()
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return {
        (Subject.AUTHORITY, digest),
        (Subject.CERTIFICATE, digest),
        (Subject.KEY, key_digest(certificate)),
    }


def _closed(home: Home, archive: Archive, revocation: Revocation) -> Revocation:
    origin = revocation.value
    if origin in (elsewhere(home), pinned_as(home, home.log_key().public_key()).origin):
        raise InputError(f"{origin}: the home records in this log", mend=_ROTATE)
    if origin not in own_origins(home):
        return revocation  # of another's log, nobody here can tell which tree is the right one
    with past_log(home, origin) as log:
        size = log.size
        renewed = []
        for each in archive.logged_in(origin):
            proof, entry = parse_proof(each.receipt or b""), claim_entry(read_manifest(each.sidecar))
            if proof.seal:
                entry = sealed_entry(entry, proof.seal)
            index = log.find(leaf_hash(entry.canonical_body()))
            if index is not None:
                renewed.append((each.box_sha256, origin, replace(proof, receipt=log.receipt(index)).to_bytes()))
        archive.add_receipts(renewed)
        return replace(revocation, head=TreeHead(size, log.root(size)))
