"""A STOMP frame as a value, and the acknowledgement modes."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NoReturn

from stompy.errors import (
    STOMPBodyError,
    STOMPError,
    STOMPProtocolError,
    printable,
    warn_unsent,
)

if TYPE_CHECKING:
    import weakref
    from collections.abc import Mapping, Sequence

    from stompy.client import STOMPClient
    from stompy.connection import Connection
    from stompy.receipt import Receipt


class AckMode(enum.StrEnum):
    """How a subscription's messages are acknowledged (STOMP 1.2, "SUBSCRIBE ack Header")."""

    Auto = "auto"
    """A message counts as processed once it was sent to the client."""
    Client = "client"
    """An ACK covers its message and all earlier ones of the subscription."""
    ClientInd = "client-individual"
    """An ACK covers its message alone."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise STOMPProtocolError(
            f"no ack mode {str(value)[:40]!r}", hint=f"choose among {', '.join(cls)}"
        )


class AckId(str):
    """The ``ack`` header of a message, which knows the connection that it is good for."""

    source: weakref.ref[Connection] | None = None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """In another process, or in a copy, it is plain text."""
        return str, (str(self),)


class STOMPFrame:
    """One frame: a command, headers and a body (STOMP 1.2, "STOMP Frames").

    Attributes:
        Command: ``"MESSAGE"``, ``"RECEIPT"``, ``"ERROR"``, …
        Headers: names and values, unescaped; of a repeated header the first entry ("Repeated
            Header Entries").
        Body: always bytes; `text` and `json` decode it when asked.

    Example:
        >>> frame = STOMPFrame("MESSAGE", {"destination": "/queue/Q"}, b'{"price": 3}')
        >>> frame["destination"], frame.get("priority", "4"), "priority" in frame
        ('/queue/Q', '4', False)
        >>> frame.json
        {'price': 3}
    """

    __slots__ = ("Body", "Command", "_headers", "_places", "_values", "source")

    _headers: dict[str, str] | None
    _places: Mapping[str, int]
    _values: Sequence[str]

    def __init__(
        self, command: str, headers: Mapping[str, str] | None = None, body: bytes | str = b""
    ) -> None:
        self.Command = command
        self._headers = dict(headers) if headers else {}
        self.Body: bytes = body.encode() if isinstance(body, str) else body
        # Where it was received; weakly, so that a frame that is kept does not keep a connection.
        self.source: weakref.ref[Connection] | None = None

    @classmethod
    def received(
        cls, command: str, places: Mapping[str, int], values: Sequence[str], body: bytes
    ) -> STOMPFrame:
        """A frame whose headers are values, and where among them the value of each name is.

        The dict is made when somebody asks for it: that is most of what a frame costs, and who
        reads one or two headers needs none. Frames of one kind share `places`, all their names.
        """
        frame = cls.__new__(cls)
        frame.Command = command
        frame.Body = body
        frame.source = None
        frame._headers = None
        frame._places = places
        frame._values = values
        return frame

    @property
    def fields(self) -> tuple[Mapping[str, int], Sequence[str]]:
        """Where the value of each header is, and the values: what `Headers` is made of.

        Who files many frames reads this: it costs next to nothing, and frames of one kind share
        the first of the two.

        Example:
            >>> STOMPFrame("MESSAGE", {"destination": "/queue/Q", "priority": "4"}).fields
            ({'destination': 0, 'priority': 1}, ['/queue/Q', '4'])
        """
        if self._headers is None:
            return self._places, self._values
        places = {name: place for place, name in enumerate(self._headers)}
        return places, list(self._headers.values())

    def headers_apart(self, name: str) -> object:
        """What received frames have in common whose headers are equal, apart from one.

        It costs less than the headers do; None where it is not at hand.
        """
        if self._headers is not None:
            return None
        place = self._places.get(name)
        if place is None:
            return self._places, self._values
        return self._places, self._values[:place], self._values[place + 1 :]

    def came_from(self, source: weakref.ref[Connection]) -> None:
        """Note where it was received; its ``ack`` header knows it from now on."""
        self.source = source
        if self._headers is not None and "ack" in self._headers:
            self._headers["ack"] = self._ack_id(self._headers["ack"])

    def _ack_id(self, text: str) -> AckId:
        ack = AckId(text)
        ack.source = self.source
        return ack

    @property
    def Headers(self) -> dict[str, str]:  # the contract's name
        """The headers; of those that are repeated the first."""
        if self._headers is None:
            self._headers = dict(zip(self._places, self._values, strict=True))
            if "ack" in self._places:
                self._headers["ack"] = self._ack_id(self._headers["ack"])
        return self._headers

    @Headers.setter
    def Headers(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def ack(self, **kwargs: Any) -> Receipt | None:
        """Acknowledge this message; as `STOMPClient.ack`.

        Raises:
            STOMPError: it was not received by a client.
        """
        client = self._client()
        if client is None:
            warn_unsent("ACK")
            return None
        return client.ack(self, **kwargs)

    def nack(self, **kwargs: Any) -> Receipt | None:
        """Say that this message was not processed; as `STOMPClient.nack`."""
        client = self._client()
        if client is None:
            warn_unsent("NACK")
            return None
        return client.nack(self, **kwargs)

    def _client(self) -> STOMPClient | None:
        """Whose frame it is; None when that is gone, or its connection is."""
        if self.source is None:
            raise STOMPError(f"a {self.Command} frame that no client has received")
        source = self.source()
        return source.client() if source and source.client else None

    def headers(self) -> dict[str, str]:
        """A copy of the headers."""
        return dict(self.Headers)

    def __getitem__(self, name: str) -> str:
        if self._headers is not None:
            return self._headers[name]
        value = self._values[self._places[name]]
        return self._ack_id(value) if name == "ack" else value

    def get(self, name: str, default: Any = None) -> Any:
        """The value of header `name`, or `default`."""
        if name not in self:
            return default
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in (self._places if self._headers is None else self._headers)

    # Without this, `for name in frame` would fall back on __getitem__ and fail with KeyError: 0.
    __iter__ = None

    @property
    def destination(self) -> str:
        """The ``destination`` header; KeyError when the frame has none."""
        return self["destination"]

    @property
    def text(self) -> str:
        """The body decoded by the charset in ``content-type``, else as UTF-8.

        Raises:
            STOMPBodyError: the body is not text in that charset.
        """
        charset = charset_of(self.get("content-type", ""))
        try:
            return self.Body.decode(charset)
        except (LookupError, ValueError) as error:  # of a charset, anything may be wrong
            raise STOMPBodyError(
                f"the body is no {charset} text: {error}", hint="read the bytes in frame.Body"
            ) from error

    @property
    def json(self) -> Any:
        """The body read as JSON.

        Raises:
            STOMPBodyError: the body is not JSON.
        """
        import json  # importing stompy stays cheap for those who never ask

        text = self.text
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise STOMPBodyError(f"the body is no JSON: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, STOMPFrame):
            return NotImplemented
        return (
            self.Command == other.Command
            and self.Body == other.Body
            and self.Headers == other.Headers
        )

    def __reduce__(self) -> tuple[type[STOMPFrame], tuple[str, dict[str, str], bytes]]:
        """In another process, or in a copy, it is a frame that no client has received."""
        headers = {name: str(value) for name, value in self.Headers.items()}
        return STOMPFrame, (self.Command, headers, self.Body)

    __hash__ = None  # type: ignore[assignment]  # headers may change

    def __repr__(self) -> str:
        headers = {
            name: "***" if name == "passcode" else value for name, value in self.Headers.items()
        }
        body = self.Body if len(self.Body) <= 60 else self.Body[:57] + b"..."
        return f"<STOMPFrame {printable(self.Command)} {headers} {body!r} {len(self.Body)} bytes>"


def fields_of(
    frames: Sequence[STOMPFrame],
) -> tuple[list[Mapping[str, int]], list[Sequence[str]]]:
    """The `fields` of many frames, as two lists; for those just received in half the time.

    Example:
        >>> fields_of([STOMPFrame("MESSAGE", {"a": "1"}), STOMPFrame("MESSAGE", {"a": "2"})])
        ([{'a': 0}, {'a': 0}], [['1'], ['2']])
    """
    if [frame._headers for frame in frames].count(None) == len(frames):
        return [frame._places for frame in frames], [frame._values for frame in frames]
    fields = [frame.fields for frame in frames]
    return [places for places, _ in fields], [values for _, values in fields]


def charset_of(content_type: str) -> str:
    """The charset that a ``content-type`` names, else UTF-8 (STOMP 1.2, "Header content-type").

    Example:
        >>> charset_of("text/plain; charset=latin-1"), charset_of("application/json")
        ('latin-1', 'utf-8')
    """
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower() or "utf-8"
    return "utf-8"
