"""Bodies as Python values."""

import contextlib
import gzip
import pickle
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy_jupyter.decode import (
    DECODERS,
    MAX_UNPACKED,
    Decoder,
    as_auto,
    as_bytes,
    as_json,
    as_json_lines,
    as_pairs,
    as_text,
    as_xml,
    sayable,
    to_utf8,
    unpacked,
)


def packed(octets: bytes) -> bytes:
    """Octets in gzip, without the time."""
    return gzip.compress(octets, mtime=0)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("grün".encode(), None, "grün"),
        (b"", None, ""),
        (b"\xff\x00", None, b"\xff\x00"),
        (b"a\0b", None, "a\0b"),
        ("café".encode("latin-1"), "text/plain;charset=latin-1", "café"),
        ("€".encode("utf-16"), 'text/plain; Charset="UTF-16"', "€"),
        ("ü".encode(), "text/plain;charset=utf-8", "ü"),
        ("ü".encode(), "text/plain;charset=no-such", "ü"),
        (b"\xff", "text/plain;charset=ascii", b"\xff"),
        (b"\xff", "text/plain;charset=undefined", b"\xff"),
        (b"\xff", "text/plain;charset=a\0b", b"\xff"),
        (b"+2AA-", "text/plain;charset=utf-7", "+2AA-"),  # half of a pair: no text in UTF-8
    ],
)
def test_text_is_read_by_its_charset_and_stays_octets_where_it_is_none(body, content_type, text):
    assert as_text(body, content_type) == text
    assert to_utf8(body, content_type) == (text.encode() if isinstance(text, str) else text)


def test_what_is_packed_is_not_taken_for_text():
    assert to_utf8(packed(b"x"), "text/plain;charset=latin-1") == packed(b"x")


def test_octets_stay_as_they_came():
    assert as_bytes("é".encode("latin-1"), "text/plain;charset=latin-1") == b"\xe9"


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"price": 3}', None, {"price": 3}),
        (b" [1, 2.5] ", "application/json", [1, 2.5]),
        (b"null", None, None),
        ('"€"'.encode("utf-16"), "application/json;charset=utf-16", "€"),
        (b'"caf\xe9"', "application/json;charset=latin-1", "café"),
    ],
)
def test_json_is_read_by_its_charset(body, content_type, value):
    assert as_json(body, content_type) == value


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff\xfe\xfd", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(body):
    with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
        as_json(body, None)


def test_a_decoder_is_known_by_its_name():
    assert Decoder("json")(b"[1]", None) == [1]
    assert set(DECODERS) >= {"text", "bytes", "json"}


def test_an_unknown_decoder_is_refused_by_a_list_of_those_that_there_are():
    with pytest.raises(ValueError, match="no decoder 'yaml'; there are: text, bytes, json"):
        Decoder("yaml")


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": 1}', None, {"a": 1}),
        (b' \r\n[{"a": 1}]', None, [{"a": 1}]),
        (b'\xef\xbb\xbf{"a": 1}', None, {"a": 1}),
        (b'{"a": 1}', "text/plain;charset=utf-8", {"a": 1}),
        (b'{"a": 1', "text/plain", '{"a": 1'),
        (b'{"a": 1}\n{"a": 2}\n', None, [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\n\n{"a": 2}', "application/x-ndjson", [{"a": 1}, {"a": 2}]),
        (b'\x1e{"a": 1}\n\x1e{"a": 2}\n', "application/json-seq", [{"a": 1}, {"a": 2}]),
        (b"5", "application/jsonl", [5]),
        (b"42.5", None, 42.5),
        (b"42.5", "text/plain", "42.5"),
        (b"42.5", "application/json", 42.5),
        (b'"x"', "application/vnd.me+json; charset=utf-8", "x"),
        (b"null", None, None),
        (b"nullable", None, "nullable"),
        (b"-", None, "-"),
        (b"<a>1</a>", None, {"a": "1"}),
        (b"<a>1", "text/html", "<a>1"),
        (b"<a>1</a>", "application/atom+xml", {"a": "1"}),
        (b"a,b\r\n1,2\r\n", "text/csv; header=present", [{"a": "1", "b": "2"}]),
        (b"a,b\n1,2", None, "a,b\n1,2"),
        (b"host = a\nport=1\n\n", None, {"host": "a", "port": "1"}),
        (b"a=1", "text/plain", {"a": "1"}),
        (b"E = mc2, says he\nand more", None, "E = mc2, says he\nand more"),
        (b"hello", None, "hello"),
        (b"[INFO] started", None, "[INFO] started"),
        (b"<14>Oct 11 app: x", None, "<14>Oct 11 app: x"),
        (b"{name} is here", None, "{name} is here"),
        (b"", None, ""),
        (b"\xff\x00", None, b"\xff\x00"),
        (packed(b'{"a": 1}'), None, {"a": 1}),
        (packed(b"a") + packed(b"b"), None, "ab"),
        (packed(b"<a/>"), "application/octet-stream", {"a": None}),
        (zlib.compress(b'[{"a": 1}]'), "application/json", [{"a": 1}]),
        (zlib.compress(b"x" * 99, 9), None, "x" * 99),
        (b"x^2 + 1", None, "x^2 + 1"),
        (b"\x80\x04 is no text", "image/png", ValueError),
        (pickle.dumps([1]), None, ValueError),
        (b"{", None, ValueError),
        (b"[1, 2", None, ValueError),
        (b"<a>", None, ValueError),
        (b"{", "application/json", ValueError),
        (b"<a>", "text/xml", ValueError),
        (b"a,b\n1,2,3", "text/csv", ValueError),
        (b"", "text/csv", ValueError),
        (b"a,a\n1,2", "text/csv", ValueError),
        (b"a=1\na=2", None, "a=1\na=2"),
        (b"a= 1 2 \r\n", None, {"a": "1 2"}),
        ('{"a": 1}'.encode("utf-16"), "text/plain;charset=utf-16", {"a": 1}),
        (packed(b'"\xe9"'), "application/json;charset=latin-1", "é"),
        (packed(b"hello")[:-4], None, ValueError),
        (b"\x1f\x8bxx", None, ValueError),
        (b"[" * 100_000, None, ValueError),
    ],
)
def test_what_a_body_is_shows_by_its_content_type_and_its_first_octets(body, content_type, value):
    if value is ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
            as_auto(body, content_type)
    else:
        assert as_auto(body, content_type) == value


def test_many_blanks_in_a_value_cost_no_time():
    pairs = as_pairs(b"a=x" + b" " * 1_000_000 + b"y", None)
    assert len(pairs["a"]) == 1_000_002


LATIN = '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (LATIN.encode("latin-1"), None),
        (LATIN.encode("latin-1"), "text/xml"),
        (LATIN.encode("latin-1"), "text/xml;charset=iso-8859-1"),
        (LATIN.encode(), "text/xml;charset=utf-8"),
        (LATIN.encode("utf-8-sig"), "text/xml;charset=utf-8"),
        (LATIN.encode("utf-16"), "text/xml;charset=utf-16"),
    ],
)
def test_the_charset_of_a_content_type_counts_for_more_than_that_of_the_document(
    body, content_type
):
    assert as_xml(body, content_type) == {"a": "é"}


def test_text_that_utf_8_cannot_say_has_escapes():
    assert sayable("é\ud800") == "é\\ud800"

    def refuse(value):
        raise ValueError("\ud800")

    with pytest.raises(ValueError, match=r"^refuse: ValueError: \\ud800$"):
        Decoder(refuse)(b"1", None)


def test_a_pickle_is_never_opened():
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was opened",)

    with pytest.raises(ValueError, match="a pickle, which is never opened"):
        as_auto(pickle.dumps(Bomb()), None)


@pytest.mark.parametrize("pack", [packed, zlib.compress])
def test_what_is_unpacked_has_a_bound(pack, monkeypatch):
    monkeypatch.setattr("stompy_jupyter.decode.MAX_UNPACKED", 1000)
    assert unpacked(pack(bytes(1000))) == bytes(1000)
    with pytest.raises(ValueError, match="more than 1,000 octets when it is unpacked"):
        unpacked(pack(bytes(1001)))


def test_a_bomb_of_many_members_has_a_bound():
    with pytest.raises(ValueError, match="octets when it is unpacked"):
        unpacked(packed(bytes(MAX_UNPACKED // 8)) * 9)


@pytest.mark.parametrize("body", [b"", b"\x1f", b"x", b"x\x9d"])
def test_half_a_head_is_none(body):
    assert unpacked(body) == body


@pytest.mark.parametrize("body", [b"\x1f\x8b", b"x\x9c", b"x\x9cabc"])
def test_a_head_without_a_body_is_broken(body):
    with pytest.raises(ValueError, match="broken"):
        unpacked(body)


@given(
    st.binary(), st.sampled_from([None, "", "text/plain", "application/json", "a/xml", "text/csv"])
)
def test_any_octets_are_a_value_or_a_value_error(body, content_type):
    with contextlib.suppress(ValueError):
        as_auto(body, content_type)


def test_a_function_is_the_last_step():
    assert Decoder(lambda value: value["a"])(b'{"a": 1}', None) == 1
    with pytest.raises(ValueError, match=r"^<lambda>: KeyError: 'a'$"):
        Decoder(lambda value: value["a"])(b"{}", None)


def test_a_line_that_is_no_json_is_named():
    with pytest.raises(ValueError, match="line 2: Expecting value"):
        as_json_lines(b"{}\nx", None)
