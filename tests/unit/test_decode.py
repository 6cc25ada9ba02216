"""Bodies as Python values."""

import pytest

from stompy_jupyter.decode import DECODERS, as_bytes, as_json, as_text, decoder, to_utf8


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
    assert decoder("json") is as_json
    assert set(DECODERS) >= {"text", "bytes", "json"}


def test_an_unknown_decoder_is_refused_by_a_list_of_those_that_there_are():
    with pytest.raises(ValueError, match="no decoder 'yaml'; there are: text, bytes, json"):
        decoder("yaml")
