"""A page with the widget and without a kernel: what a kernel would say is said here.

`ORIGIN` is answered by the test itself, no server runs there. In the page, ``say(numbers)`` has a
window sent with other numbers of the one stream.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, Route

STATIC = Path(__file__).parents[2] / "stompy_jupyter/static"
ORIGIN = "http://widget.test"

WIDGET = """<!doctype html><html lang="en"><title>widget</title>
<link rel="stylesheet" href="/widget.css">
<body><main id="cell"></main><script type="module">
import widget from "/widget.js";

const BODY = '{"symbol": "ACME", "price": 184.2}';
const now = Date.now();
const listeners = [];
const stream = {
    id: "s1", name: "prices", destination: "/topic/prices", ack: "auto", state: "live",
    error: null, received: 12, dropped: 0, octets: 1200, waiting: 0, answers: false, tally: null,
    variable: "prices", rate: { second: Math.floor(now / 1000), frames: [4, 5, 3] },
    columns: [["content-type", "content_type"]], first: 0,
    rows: Array(12).fill([now, BODY.length, BODY, "application/json"]),
};
const session = {
    name: "", address: "127.0.0.1:61613", state: "connected", server: "stompy/1", version: "1.2",
    error: null, sent: 0, received: 12, reconnects: 0, transaction: null,
    beats: { out: [1000, 10], in: [1000, 10] },
};
const log = [{ n: 1, time: now, kind: "connected", text: "127.0.0.1:61613" }];
const state = { _snapshot: { kind: "window", seq: 1, now, session, streams: [stream], log } };
const frame = {
    stream: "s1", received: now, command: "MESSAGE",
    headers: [["content-type", "application/json"]], whole: true, cut: false,
    size: BODY.length, offset: 0, version: "1.2", answerable: false,
};
const tell = (message, buffers = []) => listeners.forEach(listener => listener(message, buffers));
const model = {
    get: key => state[key],
    set: (key, value) => { state[key] = value; },
    save_changes: () => {},
    on: (event, listener) => event === "msg:custom" && listeners.push(listener),
    off: () => {},
    send: ({ kind, id, number }) => {
        const reply = { kind: "reply", id, result: kind === "frame" ? { ...frame, number } : {} };
        const buffers = kind === "frame" ? [new TextEncoder().encode(BODY).buffer] : [];
        setTimeout(() => tell(reply, buffers));
    },
};
let seq = 1;
window.say = numbers => {
    const streams = [{ ...stream, ...numbers }];
    tell({ kind: "window", seq: ++seq, now: Date.now(), session, streams, log });
};
const { initialize, render } = widget();
initialize({ model });
render({ model, el: document.querySelector("#cell") });
</script></body></html>"""


def serve(page: Page, pages: dict[str, str]) -> None:
    """Answer what a page asks `ORIGIN` for: these pages by their paths, and the built widget."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path in pages:
            route.fulfill(body=pages[path], content_type="text/html; charset=utf-8")
        else:
            route.fulfill(path=STATIC / path.removeprefix("/"))

    page.route(f"{ORIGIN}/**", answer)
