"""Timestamps: an authority's word that a signature existed at a time (RFC 3161)."""

import datetime as dt
from collections.abc import Sequence
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from atlas.codes import Code
from atlas.errors import FetchError, Rejected
from atlas.trust import TimestampAuthority
from atlas.web import Client

MAX_TOKEN = 64 * 1024
"""Bytes of a response with its certificates."""


def request_timestamp(client: Client, url: str, signature: bytes) -> bytes:
    """Ask an authority for a timestamp over a signature; it sees only the digest of it.

    Returns:
        The response, DER, not verified.

    Raises:
        FetchError: if there is none.
    """
    query = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
    answer = client.ask("POST", url, query, {"Content-Type": "application/timestamp-query"})
    if answer.status not in (200, 201):
        mend = "check the address of the timestamp authority"
        raise FetchError(f"{url}: answered {answer.status}", mend=mend)
    return answer.body


def verify_timestamp(token: bytes, signature: bytes, authorities: Sequence[TimestampAuthority]) -> dt.datetime:
    """Verify a timestamp over a signature.

    Args:
        token: the TimeStampResp, DER.
        signature: what it must be of.
        authorities: those that are pinned.

    Returns:
        The time that the authority states.

    Raises:
        Rejected: TIMESTAMP_INVALID if it is none, of something else, or of nobody who is pinned.
    """
    if len(token) > MAX_TOKEN:
        raise Rejected(Code.TIMESTAMP_INVALID, f"the timestamp has over {MAX_TOKEN} bytes")
    try:
        response = decode_timestamp_response(token)
    except ValueError as error:
        raise Rejected(Code.TIMESTAMP_INVALID, f"not a timestamp response: {error}") from error
    failures = []
    for each in authorities:
        try:
            VerifierBuilder(roots=[each.certificate]).build().verify_message(response, signature)
            return response.tst_info.gen_time.astimezone(dt.UTC)
        except (VerificationError, ValueError, UnsupportedAlgorithm) as error:
            failures.append(f"{each.name}: {error}")
    raise Rejected(
        Code.TIMESTAMP_INVALID,
        expected=" or ".join(each.name for each in authorities) or "no timestamp: the trust root pins no authority",
        found="; ".join(failures)[:200],
    )


def host_of(url: str) -> str:
    """How an authority is called where only its address is known."""
    return urlsplit(url).hostname or url
