"""Pipeline files: YAML with one or several documents, as the KFP compiler writes it."""

from pathlib import Path
from typing import Any

import yaml

from atlas.errors import DocumentError, StorageError

MAX_BYTES = 32 << 20
"""Largest pipeline file that is read."""


def read_documents(path: Path) -> list[Any]:
    """Read a pipeline file.

    Raises:
        DocumentError: if it is missing, too large or not YAML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DocumentError(f"{path}: larger than any pipeline ({MAX_BYTES} bytes)")
        return parse_documents(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror or error}", mend="name a compiled pipeline") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise DocumentError(f"{path}: not YAML: {error}", mend="name a compiled pipeline") from error


def parse_documents(text: str) -> list[Any]:
    """The documents of a YAML text.

    Raises:
        yaml.YAMLError, ValueError: if it is not YAML.
    """
    return [each for each in yaml.safe_load_all(text) if each is not None]


def dump_documents(documents: list[Any], header: str = "") -> str:
    """YAML as the KFP compiler writes it; `header` are comment lines for its top."""
    return header + yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True)


def header_of(path: Path) -> str:
    """The comment lines at the top of a file: the KFP compiler describes the pipeline's inputs there."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:count])


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
