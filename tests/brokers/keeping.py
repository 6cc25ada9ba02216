"""A process that keeps a queue, as a kernel would: `test_keep` kills it in the middle of that.

It says how many messages have come, each time on a line, and ends with the last of the queue.
"""

import argparse

from stompy_jupyter import StompSession

PATIENCE = 60.0
"""Seconds within which a message has to come."""


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("host", "port", "queue", "directory", "mode", "last"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("login", "passcode"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    address = (args.host, int(args.port))
    with StompSession(address, login=args.login, passcode=args.passcode) as session:
        stream = session.subscribe(args.queue, ack_mode=args.mode, keep=args.directory)
        received = 0
        while True:
            received = stream.wait(received + 1, timeout=PATIENCE)
            print(received, flush=True)
            if stream.table.last(1)[1][0]["body"] == args.last:
                return


if __name__ == "__main__":
    main()
