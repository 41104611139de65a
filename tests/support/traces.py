"""Looking for a value in every byte that was written, however it may be spelled."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path


def spellings(value: str) -> set[bytes]:
    """A value as text, as JSON, in base64 at any offset, in hex, and digested."""
    raw = value.encode()
    forms = {raw, json.dumps(value).encode(), raw.hex().encode()}
    for offset in range(3):  # base64 of what it stands within depends on where it begins
        encoded = base64.b64encode(b"\0" * offset + raw)[4 if offset else 0 : -4]
        forms |= {encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))}
    for each in (raw, json.dumps(value).encode()):
        digest = hashlib.sha256(each)
        forms |= {digest.digest(), digest.hexdigest().encode(), base64.b64encode(digest.digest())}
    return forms


def traces(value: str, *places: Path | str) -> Iterator[str]:
    """Say where a value is found: in files below a folder, in their names, or in a text."""
    forms = spellings(value)
    for place in places:
        if isinstance(place, str):
            if any(form in place.encode() for form in forms):
                yield place
            continue
        for path in place.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if any(form in content or form in str(path).encode() for form in forms):
                yield str(path)
