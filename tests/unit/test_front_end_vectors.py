"""The widget shows the octets of a frame as they are: vectors that TypeScript checks as well."""

import json
from pathlib import Path
from typing import Any

import pytest

from stompy import STOMPFrame, STOMPProtocolError, wire
from stompy.compose import MessageEncoder, compose, need_destination
from stompy_jupyter.explain import Part, explain_frame
from stompy_jupyter.meanings import of_header, of_value

VECTORS = json.loads(Path(__file__, "../../../js/tests/frames.json").resolve().read_bytes())


def sent(vector: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a message, as `STOMPClient.message` makes them."""
    need_destination(vector["destination"])
    headers = {**dict(vector["headers"]), "destination": vector["destination"]}
    fields, body = compose(
        "SEND", headers, vector["body"], vector["transaction"], vector["receipt"]
    )
    wire.encode("SEND", fields, body)
    return fields, body


@pytest.mark.parametrize("vector", VECTORS["encode"])
def test_the_octets_are_those_that_the_widget_shows(vector):
    frame = vector["command"], dict(vector["headers"]), vector["body"].encode("latin-1")
    if "error" in vector:
        with pytest.raises(STOMPProtocolError) as caught:
            wire.encode(*frame, vector["version"])
        assert vector["error"] in caught.value.Message
    else:
        octets = wire.encode(*frame, vector["version"])
        assert octets.decode("latin-1") == vector["octets"]


@pytest.mark.parametrize("vector", VECTORS["compose"])
def test_a_message_is_sent_as_the_widget_shows_it(vector):
    if "error" in vector:
        with pytest.raises(STOMPProtocolError) as caught:
            sent(vector)
        assert vector["error"] in caught.value.Message
    else:
        fields, body = sent(vector)
        assert [list(header) for header in fields.items()] == vector["sent"]["headers"]
        assert body.decode("latin-1") == vector["sent"]["body"]


PLAIN = [v for v in VECTORS["compose"] if "sent" in v and not (v["receipt"] or v["transaction"])]


@pytest.mark.parametrize("vector", PLAIN)
def test_the_short_cut_for_plain_messages_sends_the_same_or_passes(vector):
    headers = dict(vector["headers"])
    octets = MessageEncoder("1.2").encode(vector["destination"], headers, vector["body"])
    fields, body = dict(vector["sent"]["headers"]), vector["sent"]["body"].encode("latin-1")
    passes = not {"receipt", "transaction", "content-length"}.isdisjoint(headers)
    assert octets == (None if passes else wire.encode("SEND", fields, body))


def explained(vector: dict[str, Any]) -> list[Part]:
    headers, body = dict(vector["headers"]), vector["body"].encode("latin-1")
    return list(
        explain_frame(STOMPFrame(vector["command"], headers, body), vector["version"]).parts
    )


@pytest.mark.parametrize("vector", [v for v in VECTORS["encode"] if "octets" in v])
def test_what_the_widget_shows_as_headers_is_explained_as_headers(vector):
    parts = explained(vector)
    names = dict.fromkeys(part.header for part in parts if part.header is not None)
    assert list(names) == [name for name, _ in vector["headers"]]
    bodies = [part.octets.decode("latin-1") for part in parts if part.kind == "body"]
    assert bodies == [vector["body"]] * bool(vector["body"])


@pytest.mark.parametrize("vector", VECTORS["parts"])
def test_the_parts_are_those_that_the_widget_shows(vector):
    assert [
        [part.kind, part.octets.decode("latin-1"), part.meaning, part.header]
        for part in explained(vector)
    ] == vector["parts"]


def test_a_header_means_what_the_widget_says():
    for name, value, command, version, size, header, means in VECTORS["meanings"]:
        assert of_header(name, command, version) == header
        assert of_value(name, value, command, version, size) == means
