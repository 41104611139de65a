"""Files that are named on the command line: keys and certificates to pin, and places to write to."""

import base64
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from atlas.document import read_input
from atlas.errors import InputError
from atlas.spki import dump_spki


def read_key(path: Path) -> str:
    """Read a public key (PEM or DER), as a trust root has it: base64 of DER.

    Raises:
        InputError: if it is not one.
    """
    raw = read_input(path)
    try:
        key = (
            serialization.load_pem_public_key(raw)
            if raw.startswith(b"-----")
            else serialization.load_der_public_key(raw)
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path}: not a public key", mend="give a public key in PEM or DER") from error
    return base64.b64encode(dump_spki(key)).decode("ascii")


def read_certificate(path: Path) -> str:
    """Read the text of a certificate in PEM; what it certifies is for the trust root to judge.

    Raises:
        InputError: if it is not text.
    """
    try:
        return read_input(path).decode("ascii")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a certificate in PEM", mend="give one certificate, in PEM") from error


def check_writable(path: Path) -> None:
    """Refuse a place where nothing can be written, before something is done that cannot be undone.

    Raises:
        InputError: if its folder is not there, or this user may not write there.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written: {folder} is no folder", mend="make the folder first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: cannot be written: this user may not write to {folder}", mend="name another folder")
