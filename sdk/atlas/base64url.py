"""URL-safe base64 without padding (RFC 4648, section 5): one spelling for every value."""

import base64
import binascii


def to_base64url(data: bytes) -> str:
    """Encode."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str, size: int | None = None) -> bytes:
    """Decode base64url of exactly one spelling, of `size` bytes if given.

    Raises:
        ValueError: if it is not that.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if to_base64url(data) != text or (size is not None and len(data) != size):
        raise ValueError("not canonical base64url, or of another size")
    return data
