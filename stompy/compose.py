"""From what a program says of a frame to what goes out: headers as text, bodies as octets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from stompy import wire
from stompy.errors import STOMPProtocolError
from stompy.frame import STOMPFrame, charset_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stompy.transaction import STOMPTransaction

TEXT_TYPE = "text/plain;charset=utf-8"

ANSWER_HEADERS = {
    "1.0": {"message-id": "message-id"},
    "1.1": {"message-id": "message-id", "subscription": "subscription"},
    "1.2": {"id": "ack"},
}
"""The headers of ACK and NACK, and which header of MESSAGE each is taken from."""

MAX_HEADS = 64
"""So many heads of messages are kept."""

_UNUSUAL = frozenset({"receipt", "transaction", "content-length"})
"""Headers of SEND that mean something to the client that sends it."""

_WITH_BODY = frozenset({"SEND", "MESSAGE", "ERROR"})
"""The frames that may have a body (STOMP 1.2, "Body")."""

_COMMAND = re.compile(r"[!-9;-~]+")


def compose(
    command: str,
    headers: Mapping[str, Any],
    body: str | bytes = b"",
    transaction: str | STOMPTransaction | None = None,
    receipt: str | None = None,
    content_length: bool = True,
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a frame, as they go out; see `STOMPClient.send`.

    Raises:
        STOMPProtocolError: there is no such command, or a header or the body cannot be sent.
    """
    if not _COMMAND.fullmatch(command):
        raise STOMPProtocolError(f"{command!r} is no command")
    named: dict[str, Any] = {}
    if transaction is not None:
        named["transaction"] = getattr(transaction, "id", transaction)
    if receipt:
        named["receipt"] = receipt
    fields = header_texts({**headers, **named})
    octets = payload(fields, body)
    if octets and command not in _WITH_BODY:
        raise STOMPProtocolError(f"a {command} frame has no body", hint="SEND has one")
    fields.pop("content-length", None)
    if content_length and (octets or command == "SEND"):
        fields["content-length"] = str(len(octets))
    elif b"\0" in octets:
        raise STOMPProtocolError(
            "a body that holds a NUL cannot go without a content-length",
            hint="leave content_length=False out",
        )
    return fields, octets


def answer_headers(version: str, command: str, ack: str | STOMPFrame) -> dict[str, str]:
    """The headers by which ACK and NACK name their message (STOMP 1.2, "ACK").

    Raises:
        STOMPProtocolError: `ack` does not say enough for that in this version.
    """
    needed = ANSWER_HEADERS[version]
    if isinstance(ack, STOMPFrame):
        missing = [source for source in needed.values() if source not in ack]
        if missing:
            raise STOMPProtocolError(
                f"a {ack.Command} frame without {missing[0]} cannot be answered by {command}",
                hint="subscribe with ack_mode='client' or 'client-individual'",
            )
        return {name: ack[source] for name, source in needed.items()}
    if version != "1.2":
        raise STOMPProtocolError(
            f"in STOMP {version} {command} needs the frame, not one header of it",
            hint=f"client.{command.lower()}(frame)",
        )
    if ack and isinstance(ack, str):
        return {"id": ack}
    raise STOMPProtocolError(
        f"{command} needs the frame or its ack header, not {ack!r}",
        hint=f"client.{command.lower()}(frame)",
    )


def need_destination(destination: object) -> None:
    """Refuse what is no destination: the frame would go out without one.

    Raises:
        STOMPProtocolError: it is not text, or empty.
    """
    if not destination or not isinstance(destination, str):
        raise STOMPProtocolError(f"{destination!r} is no destination", hint='"/queue/Q"')


def header_texts(headers: Mapping[str, Any]) -> dict[str, str]:
    """Header values as text; those that are None are left out."""
    texts = {
        name: value if type(value) is str else _text(name, value)
        for name, value in headers.items()
        if value is not None
    }
    if "" in texts:
        raise STOMPProtocolError("a header without a name", hint=f"its value is {texts['']!r:.40}")
    if "\0" in "".join(texts) or "\0" in "".join(texts.values()):
        # The grammar allows it, but most brokers end the frame there: what follows would be
        # read as a frame of its own.
        name = next(name for name, text in texts.items() if "\0" in name or "\0" in text)
        raise STOMPProtocolError(f"header {name!r} holds a NUL", hint="send it in the body")
    return texts


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration, str() would give the name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray):
        raise STOMPProtocolError(f"header {name!r} is bytes", hint="decode() it")
    return str(value)


def payload(fields: dict[str, str], body: str | bytes) -> bytes:
    """The octets of a body; text without a content-type gets one in `fields`."""
    if type(body) is bytes:
        return body
    if isinstance(body, str):
        try:
            return body.encode(charset_of(fields.setdefault("content-type", TEXT_TYPE)))
        except (LookupError, ValueError) as error:
            raise STOMPProtocolError(
                f"the text does not go into {fields['content-type']}: {error}",
                hint="name another charset, or send bytes",
            ) from error
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise STOMPProtocolError(
        f"a body is text or bytes, not {type(body).__name__}", hint="json.dumps(...) makes text"
    )


_Head = tuple[dict[str, Any], type, str, bytes]
"""What a head was made for, headers and type of body; the charset of a text; its octets up to the
length of the body."""


class MessageEncoder:
    """Encodes SEND frames, and keeps the heads it has made.

    Most messages of a program differ in nothing but their bodies, and to write the same headers
    again and again costs more than all the rest of sending.

    Example:
        >>> MessageEncoder("1.2").encode("/queue/Q", {"source": "me"}, b"hello")
        b'SEND\\nsource:me\\ndestination:/queue/Q\\ncontent-length:5\\n\\nhello\\x00'
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._heads: dict[str, _Head] = {}  # the newest one of each destination

    def encode(
        self, destination: str, headers: Mapping[str, Any], body: str | bytes
    ) -> bytes | None:
        """The octets of a message; None when there is anything out of the ordinary about it."""
        try:
            kept = self._heads.get(destination)
            if kept is None or kept[0] != headers or kept[1] is not type(body):
                kept = self._make_head(destination, headers, body)
                if kept is None:
                    return None
            octets = body if isinstance(body, bytes) else body.encode(kept[2])
        except (TypeError, LookupError, ValueError):  # no text, no charset, no text of that charset
            return None
        return b"%b%d\n\n%b\0" % (kept[3], len(octets), octets)

    def _make_head(
        self, destination: str, headers: Mapping[str, Any], body: str | bytes
    ) -> _Head | None:
        fields = {**headers, "destination": destination}
        # Text alone: 1 and True are equal, but not the same header.
        if not (destination and all(type(text) is str for text in (*fields, *fields.values()))):
            return None
        if type(body) not in (bytes, str) or not _UNUSUAL.isdisjoint(fields):
            return None
        charset = ""
        if isinstance(body, str):
            charset = charset_of(fields.setdefault("content-type", TEXT_TYPE))
        head = wire.encode_head("SEND", header_texts(fields), self._version) + b"content-length:"
        if len(self._heads) >= MAX_HEADS or len(head) > wire.MAX_HEADER_LINE:
            self._heads.clear()
        self._heads[destination] = made = (dict(headers), type(body), charset, head)
        return made
