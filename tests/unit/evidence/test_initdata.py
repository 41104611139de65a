"""Initdata: strict reading, the register that binds it, and the annotation that carries it."""

import base64
import contextlib
import gzip
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import DocumentError
from atlas.evidence.initdata import (
    ALGORITHMS,
    MAX_BYTES,
    Initdata,
    parse_annotation,
    parse_initdata,
)

AA = "[eventlog_config]\nenable_eventlog = true\ninit_pcr = 17\n[token_configs]\n"
REGO = "package agent_policy\ndefault AllowRequestsFailingPolicy := false\n"
MRCONFIGID = "d33c0d51b28ab3df11021574c85695ff0d0a18e354bbe3c41fd02ab8fd600215b3b11d256a56fa697a19f70835c22e1c"
"""What sha384sum says of `toml()`."""


def toml(algorithm: str = "sha384", **changes: str) -> bytes:
    fields = {"algorithm": f'"{algorithm}"', "version": '"0.1.0"', **changes}
    head = "".join(f"{name} = {value}\n" for name, value in fields.items() if value)
    return f"{head}\n[data]\n\"aa.toml\" = '''\n{AA}'''\n\"policy.rego\" = '''\n{REGO}'''\n".encode()


def refuses(words: str, raw: bytes) -> None:
    with pytest.raises(DocumentError, match=f"^initdata: .*{words}") as caught:
        parse_initdata(raw)
    assert caught.value.mend


def packed(raw: bytes) -> str:
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


# --------------------------------------------------------------------------------------------------------- reading


def test_what_is_in_it() -> None:
    read = parse_initdata(toml())
    assert read == Initdata(toml(), "sha384", {"aa.toml": AA, "policy.rego": REGO})


def test_comments_spaces_order_and_other_forms_of_toml_are_fine() -> None:
    raw = b"""# by hand\r
version="0.1.0"
data."cdh.toml" = "a\\tb"
data.key1 = 'x'
algorithm = 'sha256' # short
"""
    read = parse_initdata(raw)
    assert read.files == {"cdh.toml": "a\tb", "key1": "x"}
    assert read.raw == raw


def test_it_may_be_without_files() -> None:
    assert parse_initdata(b'algorithm = "sha512"\nversion = "0.1.0"\n[data]\n').files == {}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "its fields are not algorithm, version and data, but none"),
        (b"\xff", "not TOML"),
        (b"\xef\xbb\xbf" + toml(), "not TOML"),
        (b"algorithm: sha384", "not TOML"),
        (b'{"algorithm": "sha384"}', "not TOML"),
        (toml() + b"\0", "not TOML"),
        (toml() + b'"aa.toml" = "again"\n', "not TOML"),
        (toml() + b"x = " + b"[" * 5000, "not TOML"),
        (toml() + b"x = " + b"1" * 5000, "not TOML"),
        (toml(""), "the algorithm is ''"),
        (toml(version=""), "its fields are not"),
        (toml(digest='"00"'), "its fields are not .* 'digest'"),
        (toml() + b"[more]\n", "its fields are not .* 'more'"),
        (b'algorithm = "sha384"\nversion = "0.1.0"\n', "its fields are not"),
        (toml("sha-384"), "the algorithm is 'sha-384'; it must be sha256, sha384 or sha512"),
        (toml("SHA384"), "the algorithm is 'SHA384'"),
        (toml("md5"), "the algorithm is 'md5'"),
        (toml().replace(b'"sha384"', b"384"), "the algorithm is 384"),
        (toml().replace(b'"sha384"', b'["sha384"]'), r"the algorithm is \['sha384'\]"),
        (toml(version='"0.2.0"'), "the version is '0.2.0'"),
        (toml(version="0.1"), "the version is 0.1"),
        (b'algorithm = "sha384"\nversion = "0.1.0"\ndata = "x"\n', "data is not a table"),
        (b'algorithm = "sha384"\nversion = "0.1.0"\n[[data]]\nx = "y"\n', "data is not a table"),
        (toml() + b"number = 1\n", "number is not a text"),
        (toml() + b'inner.name = "x"\n', "inner is not a text"),
        (toml() + b'[data."aa"]\nx = "y"\n', "aa is not a text"),
        (toml() + b'"../aa.toml" = "x"\n', "'../aa.toml' is not a plain file name"),
        (toml() + b'"/etc/passwd" = "x"\n', "not a plain file name"),
        (toml() + b'".hidden" = "x"\n', "not a plain file name"),
        (toml() + b'"" = "x"\n', "not a plain file name"),
        (toml() + b'"a\\nb" = "x"\n', "not a plain file name"),
        (toml() + b'"' + b"a" * 129 + b'" = "x"\n', "not a plain file name"),
        (toml() + b"#" * MAX_BYTES, "over 1048576 bytes"),
    ],
)
def test_what_is_none(raw: bytes, words: str) -> None:
    refuses(words, raw)


@pytest.mark.parametrize(
    "key",
    [
        b"a" + b".a" * (MAX_BYTES // 2 - 200),
        b"a" + b" . a" * (MAX_BYTES // 4 - 200),
        b'"a"' + b'."a"' * (MAX_BYTES // 4 - 200),
        b"'a'" + b".'a'" * (MAX_BYTES // 4 - 200),
        b'"\\""' + b'."\\""' * (MAX_BYTES // 5 - 200),
    ],
)
@pytest.mark.parametrize("form", [b"%b = 1", b"[%b]", b"x = {%b = 1}"])
@pytest.mark.timeout(10)
def test_a_key_of_endless_parts_does_not_take_endless_time(key: bytes, form: bytes) -> None:
    refuses("a key has 32 parts or more", toml() + form % key)


@pytest.mark.parametrize(
    "text", ["a" * 900_000, "a " * 450_000, '"' * 3, "1.2.3.4, " * 100_000, "." * 900_000, "\t" * 9]
)
@pytest.mark.timeout(10)
def test_long_texts_are_read_in_time(text: str) -> None:
    assert parse_initdata(toml() + f"long = '''{text}'''\n".encode()).files["long"] == text


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_is_refused_but_in_words(raw: bytes) -> None:
    for each in (raw, toml() + raw, raw + toml()):
        with contextlib.suppress(DocumentError):
            assert parse_initdata(each).raw == each


# --------------------------------------------------------------------------------------------------- what binds it


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_mrconfigid_is_the_digest_in_48_bytes(algorithm: str) -> None:
    raw = toml(algorithm)
    digest = hashlib.new(algorithm, raw).digest()
    found = parse_initdata(raw).mrconfigid
    assert len(found) == 48
    assert found == {"sha256": digest + bytes(16), "sha384": digest, "sha512": digest[:48]}[algorithm]


def test_mrconfigid_stays_what_it_was() -> None:
    assert parse_initdata(toml()).mrconfigid.hex() == MRCONFIGID


@pytest.mark.parametrize("other", [toml() + b"\n", toml() + b"# x", toml().replace(b"\n", b"\r\n"), b" " + toml()])
def test_every_byte_counts(other: bytes) -> None:
    assert parse_initdata(other).files == parse_initdata(toml()).files
    assert parse_initdata(other).mrconfigid != parse_initdata(toml()).mrconfigid


# --------------------------------------------------------------------------------------------- what carries it


def test_the_annotation_is_gzip_in_base64_and_always_the_same() -> None:
    read = parse_initdata(toml())
    content = base64.b64decode(read.annotation, validate=True)
    assert gzip.decompress(content) == toml()
    assert content[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"  # no name, no time
    assert parse_initdata(toml()).annotation == read.annotation
    assert "\n" not in read.annotation


def test_annotations_are_read_back_whoever_wrote_them() -> None:
    read = parse_initdata(toml())
    named = b"\x1f\x8b\x08\x08\x12\x34\x56\x78\0\x03initdata.toml\0" + gzip.compress(toml(), mtime=0)[10:]
    for text in (read.annotation, packed(toml()), base64.b64encode(named).decode()):
        assert parse_annotation(text) == read
        assert parse_annotation(text).mrconfigid == read.mrconfigid


COMPRESSED = gzip.compress(toml(), mtime=0)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not gzip: it ends too early"),
        ("*", "not base64"),
        ("é", "not base64"),
        ("\ud800", "not base64"),
        (encoded(COMPRESSED) + "\n", "not base64"),
        (encoded(COMPRESSED)[:-1] + "*", "not base64"),
        (encoded(toml()), "not gzip"),
        (encoded(zlib.compress(toml())), "not gzip"),
        (encoded(COMPRESSED[:-1]), "not gzip: it ends too early"),
        (encoded(COMPRESSED[:20]), "not gzip: it ends too early"),
        (encoded(COMPRESSED[:-8] + bytes(8)), "not gzip"),
        (encoded(COMPRESSED + b"\0"), "bytes follow"),
        (encoded(COMPRESSED + gzip.compress(b"# more", mtime=0)), "bytes follow"),
        (packed(b"x"), "not TOML"),
        (packed(toml() + b"#" * MAX_BYTES), "over 1048576 bytes"),
        (packed(bytes(64 << 20)), "over 1048576 bytes"),
        ("A" * (2 * MAX_BYTES + 1), "over 2097152 characters"),
    ],
)
def test_annotations_that_are_none(text: str, words: str) -> None:
    with pytest.raises(DocumentError, match=f"^initdata: .*{words}") as caught:
        parse_annotation(text)
    assert caught.value.mend


def test_initdata_of_just_the_limit_is_carried() -> None:
    raw = toml().ljust(MAX_BYTES, b"#")
    assert parse_annotation(parse_initdata(raw).annotation).raw == raw
