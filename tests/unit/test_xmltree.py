"""An XML document as dicts, lists and text."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy_jupyter.xmltree import MAX_DEPTH, from_xml


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("<a/>", {"a": None}),
        ("<a>text</a>", {"a": "text"}),
        ("<a> </a>", {"a": " "}),
        ("<a><b>1</b><c/></a>", {"a": {"b": "1", "c": None}}),
        ("<a><b>1</b><b>2</b><b>3</b></a>", {"a": {"b": ["1", "2", "3"]}}),
        ('<a x="1"/>', {"a": {"@x": "1"}}),
        ('<a x="1">text</a>', {"a": {"@x": "1", "#text": "text"}}),
        ("<a>\n  <b>1</b>\n</a>", {"a": {"b": "1"}}),
        ("<a>one <b>2</b> three</a>", {"a": {"b": "2", "#text": "one  three"}}),
        ("<a>x &amp; &#x20ac; <![CDATA[<b>]]></a>", {"a": "x & € <b>"}),
        ('<n:a xmlns:n="urn:n" n:x="1"><n:b/></n:a>', {"a": {"@x": "1", "b": None}}),
        ('<a xmlns:p="p" xmlns:q="q" p:x="1" q:x="2"/>', {"a": {"@x": ["1", "2"]}}),
        ('<?xml version="1.0"?><!-- hello --><a/>', {"a": None}),
    ],
)
def test_elements_are_dicts_and_text(document, value):
    assert from_xml(document.encode()) == value
    assert from_xml(document) == value


def test_a_document_declares_its_encoding():
    assert from_xml('<?xml version="1.0" encoding="latin-1"?><a>é</a>'.encode("latin-1")) == {
        "a": "é"
    }


@pytest.mark.parametrize("document", ["", "<a>", "<a></b>", "hello", "<a/><b/>", "<a>&b;</a>"])
def test_what_is_not_well_formed_is_an_error_that_says_where(document):
    with pytest.raises(ValueError, match=r"no XML: .* line 1, column \d+"):
        from_xml(document.encode())


def test_entities_are_not_read():
    laughs = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    with pytest.raises(ValueError, match="document type declaration"):
        from_xml(laughs.encode())
    with pytest.raises(ValueError, match="document type declaration"):
        from_xml(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>')


def test_depth_has_a_bound():
    assert from_xml(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH)
    with pytest.raises(ValueError, match="nested more than 200 deep"):
        from_xml(b"<a>" * 100_000)


@given(st.binary())
def test_any_octets_are_a_value_or_a_value_error(document):
    with contextlib.suppress(ValueError):
        assert from_xml(document)
