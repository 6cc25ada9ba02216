"""Frames that are wrong, each in one way: what the linter is held to, and what brokers are asked.

A text has ^@ for NUL, as in a cell; octets are for what cannot be typed.
"""

from __future__ import annotations

from typing import NamedTuple


class WrongFrame(NamedTuple):
    """A frame, and what is wrong with it.

    Attributes:
        name: what it is called in tests and in the table of who refuses what.
        version: of STOMP, by whose rules.
        typed: the frame.
        line, column: where the one finding points.
        rule: the rule that is broken.
        connected: whether it is sent on a connection that has begun.
    """

    name: str
    version: str
    typed: str | bytes
    line: int
    column: int
    rule: str
    connected: bool = True


def _connect(name: str, headers: str, line: int, column: int, rule: str) -> WrongFrame:
    typed = f"CONNECT\n{headers}\n\n^@"
    return WrongFrame(name, "1.2", typed, line, column, rule, connected=False)


W = WrongFrame
TO = "SEND\ndestination:/queue/wrong\n"

COMMANDS = [
    W("line ends alone", "1.2", "\n\n", 1, 1, "empty"),
    W("unknown command", "1.2", "PUBLISH\ndestination:/queue/wrong\n\nhello^@", 1, 1,
      "unknown-command"),
    W("text without a frame", "1.2", "hello", 1, 1, "unknown-command"),
    W("command in lower case", "1.2", "send\ndestination:/queue/wrong\n\nhello^@", 1, 1,
      "lower-case"),
    W("command half in lower case", "1.2", "Send\ndestination:/queue/wrong\n\nhello^@", 1, 2,
      "lower-case"),
    W("blank before the command", "1.2", " " + TO + "\nhello^@", 1, 1, "blank-before-command"),
    W("blank behind the command", "1.2", TO.replace("SEND", "SEND ") + "\nhello^@", 1, 5,
      "behind-command"),
    W("header in the command's line", "1.2",
      "SEND destination:/queue/other\ndestination:/queue/wrong\n\nhello^@", 1, 5,
      "behind-command"),
    W("MESSAGE of a client", "1.2",
      "MESSAGE\ndestination:/queue/wrong\nmessage-id:1\nsubscription:1\n\nhello^@", 1, 1,
      "server-command"),
    W("CONNECTED of a client", "1.2", "CONNECTED\nversion:1.2\n\n^@", 1, 1, "server-command"),
    W("RECEIPT of a client", "1.1", "RECEIPT\nreceipt-id:1\n\n^@", 1, 1, "server-command"),
    W("NACK in 1.0", "1.0", "NACK\nmessage-id:1\n\n^@", 1, 1, "not-in-version"),
    W("STOMP in 1.0", "1.0", "STOMP\naccept-version:1.0\nhost:/\n\n^@", 1, 1,
      "not-in-version", connected=False),
    W("a second CONNECT", "1.2", "CONNECT\naccept-version:1.2\nhost:/\n\n^@", 1, 1,
      "connected-already"),
    W("SEND before CONNECT", "1.2", TO + "\nhello^@", 1, 1, "not-connected", connected=False),
]  # fmt: skip

LINES = [
    W("no blank line, no body", "1.2", "BEGIN\ntransaction:t1\n^@", 3, 1, "no-blank-line"),
    W("no blank line before NUL", "1.2", "BEGIN\ntransaction:t1^@", 2, 15, "no-blank-line"),
    W("no blank line before the body", "1.2", TO + "hello^@", 3, 1, "no-blank-line"),
    W("blank line of blanks", "1.2", TO + "  \nhello^@", 3, 1, "no-blank-line"),
    W("header without colon", "1.2", TO + "priority 4\n\nhello^@", 3, 9, "no-colon"),
    W("header of one word", "1.1", TO + "persistent\n\nhello^@", 3, 11, "no-colon"),
    W("header without colon in 1.0", "1.0", TO + "priority 4\n\nhello^@", 3, 9, "no-colon"),
    W("header without name", "1.2", TO + ":4\n\nhello^@", 3, 1, "empty-name"),
    W("blank before a name", "1.2", TO + " priority:4\n\nhello^@", 3, 1, "blank-in-name"),
    W("blank behind a name", "1.2", "SEND\ndestination :/queue/wrong\n\nhello^@", 2, 12,
      "blank-in-name"),
    W("blank before a value", "1.2", "SEND\ndestination: /queue/wrong\n\nhello^@", 2, 13,
      "blank-in-value"),
    W("blank behind a value", "1.1", TO + "colour:red \n\nhello^@", 3, 11, "blank-in-value"),
    W("tab as an escape", "1.2", TO + "path:a\\tb\n\nhello^@", 3, 7, "undefined-escape"),
    W("Windows path", "1.2", TO + "path:C\\cemp\\quit\n\nhello^@", 3, 12, "undefined-escape"),
    W("backslash at the end", "1.2", TO + "path:ab\\\n\nhello^@", 3, 8, "undefined-escape"),
    W("escape in a name", "1.1", TO + "a\\xb:1\n\nhello^@", 3, 2, "undefined-escape"),
    W("CR as an escape in 1.1", "1.1", TO + "path:a\\rb\n\nhello^@", 3, 7, "undefined-escape"),
    W("bare colon in a value", "1.2", TO + "at:12:30\n\nhello^@", 3, 6, "raw-colon"),
    W("bare CR in a value", "1.2", TO + "text:a\rb\n\nhello^@", 3, 7, "raw-cr"),
    W("CR LF in 1.1", "1.1", "SEND\r\ndestination:/queue/wrong\r\n\r\nhello^@", 1, 5,
      "cr-line-end"),
    W("CR LF in 1.0", "1.0", "SEND\r\ndestination:/queue/wrong\r\n\r\nhello^@", 1, 5,
      "cr-line-end"),
    W("header twice", "1.2", TO + "colour:red\ncolour:blue\n\nhello^@", 4, 1, "repeated-header"),
    W("destination twice", "1.2", TO + "destination:/queue/other\n\nhello^@", 3, 1,
      "repeated-header"),
    W("header no UTF-8", "1.2", TO.encode() + b"name:M\xfcller\n\nhello\0", 3, 7, "not-utf-8"),
    W("half a surrogate pair", "1.2", TO + "name:a\ud83d\n\nhello^@", 3, 7, "not-utf-8"),
    W("empty value in 1.0", "1.0", TO + "colour:\n\nhello^@", 3, 8, "empty-value"),
    W("umlaut in 1.0", "1.0", TO + "name:Müller\n\nhello^@", 3, 7, "not-ascii"),
]  # fmt: skip

HEADERS = [
    W("SEND without destination", "1.2", "SEND\ncolour:red\n\nhello^@", 3, 1, "missing-header"),
    W("SEND without headers", "1.0", "SEND\n\nhello^@", 2, 1, "missing-header"),
    W("Destination in capitals", "1.2", "SEND\nDestination:/queue/wrong\n\nhello^@", 2, 1,
      "header-case"),
    W("SUBSCRIBE without id", "1.2", "SUBSCRIBE\ndestination:/queue/wrong\n\n^@", 3, 1,
      "missing-header"),
    W("SUBSCRIBE without destination", "1.2", "SUBSCRIBE\nid:1\n\n^@", 3, 1, "missing-header"),
    W("UNSUBSCRIBE by destination", "1.1", "UNSUBSCRIBE\ndestination:/queue/wrong\n\n^@", 3, 1,
      "missing-header"),
    W("UNSUBSCRIBE of nothing in 1.0", "1.0", "UNSUBSCRIBE\n\n^@", 2, 1, "missing-header"),
    W("ACK as in 1.1", "1.2", "ACK\nmessage-id:1\nsubscription:1\n\n^@", 4, 1, "missing-header"),
    W("ACK without subscription", "1.1", "ACK\nmessage-id:1\n\n^@", 3, 1, "missing-header"),
    W("ACK without message-id in 1.0", "1.0", "ACK\n\n^@", 2, 1, "missing-header"),
    W("BEGIN without transaction", "1.2", "BEGIN\n\n^@", 2, 1, "missing-header"),
    W("COMMIT without transaction", "1.2", "COMMIT\n\n^@", 2, 1, "missing-header"),
    W("unknown ack mode", "1.2",
      "SUBSCRIBE\nid:1\ndestination:/queue/wrong\nack:sometimes\n\n^@", 4, 5, "ack-mode"),
    W("ack mode with a blank", "1.2",
      "SUBSCRIBE\nid:1\ndestination:/queue/wrong\nack: client\n\n^@", 4, 5, "ack-mode"),
    W("client-individual in 1.0", "1.0",
      "SUBSCRIBE\nid:1\ndestination:/queue/wrong\nack:client-individual\n\n^@", 4, 5,
      "ack-mode"),
    _connect("CONNECT without accept-version", "host:/", 3, 1, "missing-header"),
    _connect("CONNECT without host", "accept-version:1.2", 3, 1, "missing-header"),
    _connect("CONNECT with a receipt", "accept-version:1.2\nhost:/\nreceipt:1", 4, 1,
             "receipt-of-connect"),
    _connect("versions with a semicolon", "accept-version:1.1;1.2\nhost:/", 2, 19,
             "accept-version"),
    _connect("versions with a blank", "accept-version:1.1, 1.2\nhost:/", 2, 20, "accept-version"),
    _connect("versions in the wrong order", "accept-version:1.2,1.0\nhost:/", 2, 20,
             "version-order"),
    _connect("heart-beat of one number", "accept-version:1.2\nhost:/\nheart-beat:1000", 4, 16,
             "heart-beat"),
    _connect("heart-beat of words", "accept-version:1.2\nhost:/\nheart-beat:0,often", 4, 14,
             "heart-beat"),
    _connect("negative heart-beat", "accept-version:1.2\nhost:/\nheart-beat:-1,0", 4, 12,
             "heart-beat"),
]  # fmt: skip

BODIES = [
    W("content-length of words", "1.2", TO + "content-length:five\n\nhello^@", 3, 16,
      "content-length"),
    W("content-length with a unit", "1.2", TO + "content-length:5B\n\nhello^@", 3, 17,
      "content-length"),
    W("content-length with a blank", "1.2", TO + "content-length: 5\n\nhello^@", 3, 16,
      "content-length"),
    W("negative content-length", "1.2", TO + "content-length:-5\n\nhello^@", 3, 16,
      "content-length"),
    W("content-length too short", "1.2", TO + "content-length:4\n\nhello^@", 3, 16,
      "content-length-short"),
    W("content-length of characters", "1.2", TO + "content-length:6\n\nMüller^@", 3, 16,
      "content-length-short"),
    W("content-length too long", "1.2", TO + "content-length:1000\n\nhello^@", 3, 16,
      "content-length-long"),
    W("content-length too short in 1.0", "1.0", TO + "content-length:4\n\nhello^@", 3, 16,
      "content-length-short"),
    W("NUL in the body", "1.2", TO + "\nhel^@lo^@", 4, 4, "nul-in-body"),
    W("octets behind the NUL", "1.2", TO + "\nhello^@ world", 4, 8, "behind-nul"),
    W("two frames", "1.2", TO + "\nhello^@\n" + TO + "\nworld^@", 5, 1,
      "second-frame"),
    W("no NUL", "1.2", (TO + "\nhello").encode(), 4, 6, "no-nul"),
    W("body of a SUBSCRIBE", "1.2", "SUBSCRIBE\nid:1\ndestination:/queue/wrong\n\nhello^@", 5, 1,
      "body"),
    W("line end as a body", "1.2", "BEGIN\ntransaction:t1\n\n\n^@", 4, 1, "body"),
]  # fmt: skip

WRONG_FRAMES = [*COMMANDS, *LINES, *HEADERS, *BODIES]
