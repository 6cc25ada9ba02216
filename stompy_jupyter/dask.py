"""Beyond one machine: the consumers of a queue on a Dask cluster, and what they keep.

Needs the extra ``dask``: ``pip install "stompy-jupyter[dask]"``, here and on the workers.

Example:
    >>> from distributed import Client
    >>> from stompy_jupyter.dask import consume
    >>> client = Client("tcp://scheduler.example:8786")
    >>> orders = consume(
    ...     client, ("broker.example", 61613), "/queue/orders", workers=4, keep="/shared/orders"
    ... )
    >>> orders.status()
    >>> orders.stop().groupby("symbol").size().compute()
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import itertools
import pickle
import random
import threading
import time
import uuid
import warnings
import weakref
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from stompy import AckMode, STOMPClosed, STOMPError, STOMPTimeout
from stompy_jupyter.amounts import Rotation
from stompy_jupyter.dataset import FIXED, OPEN, recover
from stompy_jupyter.display import html_table, visible
from stompy_jupyter.openfile import release, taken
from stompy_jupyter.session import StompSession

try:
    import dask.dataframe as dd
    from distributed import Client

    from stompy_jupyter.consumer import OVER, REPORT_SECONDS, Assignment, work
except ImportError as error:
    raise ImportError(
        'stompy_jupyter.dask needs Dask: pip install "stompy-jupyter[dask]"', name=error.name
    ) from error

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import BinaryIO, Self

__all__ = ["Consumption", "consume", "dataframe"]

SILENT_SECONDS = 10 * REPORT_SECONDS
"""A consumer of which nothing was heard for so long is called silent."""

SLICE = 0.25
"""Seconds after which a wait looks at the cluster again."""

LIMIT = 60.0
"""Seconds that the start of all consumers, and their end, may take."""

PARTITIONS = pa.schema([("date", pa.date32()), ("hour", pa.int32())])
"""What the names of the folders of a dataset say."""

COLUMNS = (
    *("worker", "host", "pid", "state", "received", "on_disk", "files", "rate"),
    *("starts", "heard_at", "error"),
)
"""Those of `Consumption.status`."""


def consume(
    client: Client,
    address: Any,
    destination: str,
    workers: int = 4,
    *,
    keep: str | os.PathLike[str],
    rotate: str | Iterable[str] | Rotation = Rotation(),  # noqa: B008 - it is frozen
    ack_mode: str | AckMode = AckMode.ClientInd,
    prefetch: int | None = None,
    until_idle: float | None = None,
    start_timeout: float = LIMIT,
    **connect_arguments: Any,
) -> Consumption:
    """Have competing consumers on a cluster keep the messages of a queue in one dataset.

    Each is a task that runs until it is stopped, on a worker of its own if there are enough, and
    leaves the worker's threads to others. It acknowledges a message when that is on disk. When its
    worker is killed, the broker delivers what was not acknowledged again, the task begins anew on
    another worker (Dask gives it up when its workers have died four times:
    ``distributed.scheduler.allowed-failures``), and what had been written is found. So nothing is
    lost, and some messages may be there twice; their column ``redelivered`` says so, if the broker
    does.

    The passcode goes to the workers over the cluster's own connections: have these use TLS
    (``distributed.Security``) where others could listen. No key, repr, log or status shows it.

    Args:
        client: of the cluster, as ``Client(cluster)``; not an asynchronous one.
        address: of the broker, as for `StompSession`, and as the workers can reach it.
        destination: a queue. A topic would send everything to each consumer.
        workers: how many consumers.
        keep: the dataset: a folder that all workers and this process share, locks included; as it
            can be on one machine, or on NFS. Both are checked at the start.
        rotate, ack_mode, prefetch: as for `StompSession.subscribe`. Only files that are closed are
            seen by those who read the dataset: every 10 minutes unless `rotate` says else.
        until_idle: seconds without a message after which a consumer ends by itself.
        start_timeout: seconds within which all have to have begun.
        connect_arguments: for `stompy.connect`: ``login``, ``passcode``, ``tls``, ….

    Returns:
        A `Consumption`. It is no DataFrame itself, because its rows become more: ``.ddf`` is the
        dask.dataframe of those that can be read at that moment.

    Raises:
        ValueError: an argument is none of those that are possible.
        STOMPConnectError: a worker does not reach the broker. All consumers are stopped then, as
            for any other reason to raise, Ctrl-C among them.
        STOMPTimeout: they have not begun in time; the cluster may have no workers.
        STOMPError: a consumer cannot begin; it says why, and on which worker.

    Example:
        >>> with consume(client, "localhost:61613", "/queue/orders", 2, keep="orders") as orders:
        ...     orders.wait(1000)
        ...     orders.status()
        >>> orders.ddf["symbol"].value_counts().compute()
    """
    _check(client, destination, workers, until_idle)
    session = StompSession(address, **connect_arguments)  # knows how arguments are read; is not
    options: dict[str, Any] = {"rotate": Rotation.of(rotate), "ack_mode": AckMode(ack_mode)}
    if prefetch is not None:  # connected here
        options["prefetch"] = prefetch
    directory = Path(keep).expanduser().absolute()
    topic = f"stompy-consume-{uuid.uuid4().hex[:12]}"
    assignment = Assignment(
        topic=topic,
        addresses=session._target(),
        arguments=session._arguments,
        destination=destination,
        options=options,
        directory=directory,
        lease=directory / OPEN / f"{topic}.lock",
        until_idle=until_idle,
    )
    _check_portable(assignment)
    consumption = Consumption(client, assignment)
    consumption._start(workers, start_timeout)
    return consumption


def dataframe(directory: str | os.PathLike[str]) -> Any:
    """A dataset as a dask.dataframe, one partition for each file that is closed by now.

    It has the columns of all files, NA where a file has not got one, and ``date`` and ``hour`` of
    the folders. For a dataset whose writers have died call `stompy_jupyter.keep.recover` first.

    Example:
        >>> dataframe("/shared/orders").groupby("hour").size().compute()
    """
    directory = Path(directory).expanduser().absolute()
    files = sorted(directory.glob("date=*/hour=*/*.parquet"))
    schemas = [pq.read_schema(file) for file in files] or [FIXED]
    schema = pa.unify_schemas([*schemas, PARTITIONS], promote_options="permissive")
    if not files:
        return dd.from_pandas(schema.empty_table().to_pandas(), npartitions=1)
    partitioning = pa.dataset.partitioning(PARTITIONS, flavor="hive")
    # Dask would take the columns of the first file for those of all.
    given = {
        "schema": schema,
        "partitioning": partitioning,
        "partition_base_dir": str(directory),
    }
    return dd.read_parquet([str(file) for file in files], dataset=given)


class Consumption:
    """The consumers of a queue on a cluster, and the dataset that they write.

    Made by `consume`. They end with `stop`, with its ``with`` block, and also when nothing refers
    to it any more, or its client or process is gone: the cluster does not work for nobody.

    Attributes:
        destination: the queue.
        directory: the dataset.

    Example:
        >>> orders = consume(client, address, "/queue/orders", keep="/shared/orders")
        >>> orders.wait(100_000, timeout=60)
        100000
        >>> orders.stop()["size"].sum().compute()
    """

    def __init__(self, client: Client, assignment: Assignment) -> None:
        self.destination = assignment.destination
        self.directory = assignment.directory
        self._client = client
        self._assignment = assignment
        self._futures: list[Any] = []
        self._reports = _Reports()  # knows nothing of this object, which can be forgotten
        self._release = weakref.finalize(self, _end_lease, _lease(assignment.lease))

    # -- how it is ---------------------------------------------------------------------------

    def status(self) -> pd.DataFrame:
        """How the consumers are: a row for each, as they said within the last second or two.

        The columns:

        - ``worker`` (its address in the cluster), ``host``, ``pid``;
        - ``state``: ``"waiting"`` for a worker, ``"starting"``, ``"consuming"``,
          ``"reconnecting"`` (to the broker), ``"moving"`` (to another worker, since its own
          leaves), ``"silent"`` (nothing heard for 10 s), ``"ended"``, or ``"failed"``;
        - ``received`` messages, of which ``on_disk`` are safe; both with those of earlier starts,
          as far as they were heard of;
        - ``files`` that it has closed; ``rate``, messages a second since its report before;
        - ``starts``: more than 1 when a worker was lost; ``heard_at``; ``error``.

        Asks nobody, so it can be called at any rate and after the end.
        """
        rows = [self._row(number) for number in range(len(self._futures))]
        df = pd.DataFrame(rows, columns=list(COLUMNS))
        return df.rename_axis("consumer")

    def _row(self, number: int) -> dict[str, Any]:
        row = self._reports.row(number)
        future = self._futures[number]
        if future.status == "error" and row["state"] != "failed":  # Dask has given it up
            error = _error_of(future)
            row |= {"state": "failed", "error": visible(f"{type(error).__name__}: {error}")}
        elif future.status == "cancelled" and self._is_over(number) and row["state"] not in OVER:
            row["state"] = "ended"
        return row | {"rate": 0.0} if row["state"] in OVER else row

    @property
    def on_disk(self) -> int:
        """How many messages are on disk, with those that came twice, as far as is known: of a
        worker that was killed, what it had said before."""
        return self._reports.on_disk

    @property
    def live(self) -> bool:
        """Whether a consumer goes on, or waits for a worker."""
        return any(future.status == "pending" for future in self._futures)

    def _all_are_over(self) -> bool:
        return all(map(self._is_over, range(len(self._futures))))

    def _is_over(self, number: int) -> bool:
        """Whether a consumer does nothing more, and has said so, or cannot any more."""
        status = self._futures[number].status
        if status in ("finished", "error"):
            return True
        return status != "pending" and self._reports.state(number) in (None, "waiting", *OVER)

    # -- waiting -----------------------------------------------------------------------------

    def wait(self, n: int | None = None, timeout: float | None = 60.0) -> int:
        """Wait until so many messages are on disk; without a number, until all consumers ended.

        The number is that of `on_disk`: those in open files count, which `ddf` does not show yet,
        and those that came twice. Where workers may be killed, ``until_idle`` is the way to have
        all of a queue. An interrupt (Ctrl-C) ends the wait alone: the consumers go on until `stop`.

        Args:
            timeout: seconds to wait at the most; None waits as long as a consumer lives.

        Returns:
            How many are on disk.

        Raises:
            STOMPTimeout: it did not come about in time.
            STOMPClosed: all consumers ended with less, or nobody hears of them any more, since the
                client is closed or the cluster was restarted; the first failure is its cause.
            ValueError: no number, and nothing that would end them (``until_idle``).
        """
        if n is None and self._assignment.until_idle is None and self.live:
            raise ValueError("wait() needs a number, or consume(…, until_idle=seconds)")
        enough = float("inf") if n is None else n
        if not self._until(lambda: self.on_disk >= enough or not self.live, timeout):
            wanted = "all consumers have ended" if n is None else f"{n:,} messages are on disk"
            raise STOMPTimeout(
                f"not within {timeout:g} s: {wanted}; there are {self.on_disk:,}",
                hint="status() says how the consumers are",
            )
        failed = self._failures()
        if self.on_disk < enough and (n is not None or len(failed) == len(self._futures)):
            raise STOMPClosed(
                f"all consumers have ended, {self.on_disk:,} messages are on disk",
                hint="status() says why",
            ) from next(iter(failed.values()), None)
        return self.on_disk

    def _until(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so; whether it is."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while not condition():
            if (left := deadline - time.monotonic()) <= 0:
                return False
            self._reports.wait(min(left, SLICE))
        return True

    def _failures(self) -> dict[int, BaseException]:
        """Why consumers have failed, by their numbers."""
        return {n: _error_of(f) for n, f in enumerate(self._futures) if f.status == "error"}

    # -- beginning and end -------------------------------------------------------------------

    def _start(self, workers: int, timeout: float) -> None:
        client, assignment = self._client, self._assignment
        deadline = time.monotonic() + timeout
        client.subscribe_topic(assignment.topic, self._reports.take)
        try:
            there = _some_workers(client, timeout)
            for number in range(workers):
                self._futures.append(
                    client.submit(
                        work,
                        assignment,
                        number,
                        key=assignment.key(number),
                        pure=False,
                        # One on each; another takes its place when that has gone.
                        workers=[there[number % len(there)]],
                        allow_other_workers=True,
                    )
                )
            self._until_begun(deadline, timeout)
        except BaseException:
            self._cancel()
            with contextlib.suppress(STOMPTimeout):  # what has failed before is to be known
                self._until_stopped(LIMIT / 6)
            self._end()
            raise

    def _until_begun(self, deadline: float, timeout: float) -> None:
        begun: set[int] = set()

        def all_have() -> bool:
            begun.update(n for n in range(len(self._futures)) if self._has_begun(n))
            return bool(self._failures()) or len(begun) == len(self._futures)

        in_time = self._until(all_have, deadline - time.monotonic())
        for number, error in self._failures().items():
            if isinstance(error, STOMPError):  # it says on which worker
                raise error
            raise STOMPError(f"consumer {number} cannot begin: {error!r}") from error
        if not in_time:
            raise STOMPTimeout(
                f"{len(begun)} of {len(self._futures)} consumers have begun within {timeout:g} s",
                hint="the workers may have other work: see the cluster's dashboard",
            )

    def _has_begun(self, number: int) -> bool:
        state = self._reports.state(number)
        return state not in (None, "starting", "failed") or self._futures[number].done()

    def stop(self, timeout: float = LIMIT) -> Any:
        """Stop the consumers, have all that they kept in closed files, and return the dataset.

        Consumers that failed are warned of: what they had not acknowledged is with the broker. An
        interrupt (Ctrl-C) leaves them stopping; call it again. Twice is fine.

        Args:
            timeout: seconds to wait for them at the most.

        Returns:
            The dataset as a dask.dataframe: `ddf`.

        Raises:
            STOMPTimeout: a consumer has not ended in time. It does when it can; call it again.
        """
        first = self._release.alive
        failed = self._failures()
        self._cancel()
        self._until_stopped(timeout)
        self._end()
        left = recover(self.directory).failed
        if first:
            for number, error in failed.items():
                warnings.warn(visible(f"consumer {number} had failed: {error}"), stacklevel=2)
        for path, why in left.items():
            warnings.warn(visible(f"{path} stays as it is: {why}"), stacklevel=2)
        return self.ddf

    def _cancel(self) -> None:
        pending = [future for future in self._futures if future.status == "pending"]
        if pending and self._client.status == "running":
            self._client.cancel(pending)

    def _until_stopped(self, timeout: float) -> None:
        """Wait for those that were told to end, but not for those whose worker has gone."""
        deadline = time.monotonic() + timeout
        while self._client.status == "running":
            if self._until(self._all_are_over, min(REPORT_SECONDS, timeout)):
                return
            self._reports.forget_others_than(self._client.nthreads())
            if not self._all_are_over() and time.monotonic() >= deadline:
                late = [n for n in range(len(self._futures)) if not self._is_over(n)]
                raise STOMPTimeout(
                    f"consumers {late} have not ended within {timeout:g} s",
                    hint="they are told, and end when they can; stop() again waits for them",
                )

    def _end(self) -> None:
        if self._release.alive and self._client.status == "running":
            self._client.unsubscribe_topic(self._assignment.topic)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- what it has kept --------------------------------------------------------------------

    @property
    def ddf(self) -> Any:
        """The dataset as a dask.dataframe, with the files that are closed by now: `dataframe`."""
        return dataframe(self.directory)

    # -- showing -----------------------------------------------------------------------------

    @property
    def _summary(self) -> str:
        states = Counter(row["state"] for row in map(self._row, range(len(self._futures))))
        shown = ", ".join(f"{count} {state}" for state, count in states.items())
        return visible(
            f"{self.destination} into {self.directory}: {shown}; {self.on_disk:,} on disk"
        )

    def __repr__(self) -> str:
        return f"<Consumption {self._summary}>"

    def _repr_html_(self) -> str:
        rows = [self._row(number) for number in range(len(self._futures))]
        shown = [row | {"pid": str(row["pid"] or "")} for row in rows]
        cells = [[str(n), *(_cell(row[name]) for name in COLUMNS)] for n, row in enumerate(shown)]
        return html_table(["consumer", *COLUMNS], cells, self._summary)


class _Reports:
    """What consumers have said last. Taken in the client's thread, and looked at by any.

    A consumer that begins anew, on another worker, counts from 0 again: each of its runs is kept.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards both
        self._runs: defaultdict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._heard: dict[int, float] = {}  # by time.monotonic

    def take(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take a report, with the time at which the scheduler got it."""
        at, report = event
        with self._changed:
            # The last word of a run may come late: it is the order of the first that counts.
            self._runs[report["consumer"]][report["run"]] = report | {"heard_at": at}
            self._heard[report["consumer"]] = time.monotonic()
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Wait for the next report, or so long."""
        with self._changed:
            self._changed.wait(timeout)

    def _of(self, number: int) -> list[dict[str, Any]]:
        """The last report of each run of a consumer, in their order."""
        with self._changed:
            return list(self._runs[number].values())

    def state(self, number: int) -> str | None:
        """What a consumer does as far as it has said."""
        reports = self._of(number)
        return str(reports[-1]["state"]) if reports else None

    def forget_others_than(self, workers: Iterable[str]) -> None:
        """Take those for waiting whose worker is not there any more."""
        there = set(workers)
        with self._changed:
            for report in itertools.chain.from_iterable(r.values() for r in self._runs.values()):
                if report["worker"] not in there and report["state"] not in OVER:
                    report["state"] = "waiting"

    @property
    def on_disk(self) -> int:
        """How many messages are on disk."""
        with self._changed:
            return sum(int(r["on_disk"]) for runs in self._runs.values() for r in runs.values())

    def row(self, number: int) -> dict[str, Any]:
        """All that is known of a consumer, under `COLUMNS`."""
        reports = self._of(number)
        if not reports:
            nothing = dict.fromkeys(("received", "on_disk", "files", "rate", "starts"), 0)
            return dict.fromkeys(COLUMNS) | nothing | {"state": "waiting", "error": ""}
        row = {name: reports[-1].get(name) for name in COLUMNS}
        for name in ("received", "on_disk", "files"):
            row[name] = sum(report[name] for report in reports)
        row["starts"] = len(reports)
        row["heard_at"] = datetime.datetime.fromtimestamp(reports[-1]["heard_at"], datetime.UTC)
        silent = time.monotonic() - self._heard[number] > SILENT_SECONDS
        if silent and row["state"] not in OVER:
            row["state"], row["rate"] = "silent", 0.0
        return row


# -- what consume() is given -------------------------------------------------------------------


def _check(client: Any, destination: str, workers: int, until_idle: float | None) -> None:
    if not isinstance(client, Client):
        raise ValueError(f"a distributed.Client is needed, not {type(client).__name__}")
    if client.asynchronous:
        raise ValueError("an asynchronous client cannot be used: Client(…) without asynchronous")
    if client.status != "running":
        raise ValueError(f"the client is not connected to a cluster: it is {client.status}")
    if workers < 1:
        raise ValueError(f"at least 1 consumer is needed, not {workers}")
    if until_idle is not None and until_idle <= 0:
        raise ValueError(f"until_idle is a number of seconds above 0, not {until_idle:g}")
    if workers > 1 and destination.startswith(("/topic/", "/exchange/")):
        raise ValueError(
            f"each consumer of {visible(destination)} would get all of its messages: "
            "workers=1, or a queue that is bound to it"
        )


def _check_portable(assignment: Assignment) -> None:
    """Make sure that all can be sent to the workers."""
    try:
        pickle.dumps(assignment)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise ValueError(
            f"the arguments cannot be sent to the workers ({error}); files of certificates can: "
            "ca_file, cert_file, key_file"
        ) from None


def _some_workers(client: Client, timeout: float) -> list[str]:
    """The workers of the cluster, in any order so that several consumptions spread; one or more."""
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        raise STOMPTimeout(
            f"the cluster has no workers after {timeout:g} s", hint="cluster.scale(4)"
        ) from None
    there = list(client.nthreads())
    return random.sample(there, len(there))


def _lease(path: Path) -> BinaryIO:
    """A file that this process has locked, for consumers to see whether they share the folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob("stompy-consume-*.lock"):
            if (file := taken(left)) is not None:  # its process was killed
                _end_lease(file)
        while True:
            file = path.open("w+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                return file
            file.close()  # another has cleared it away before it was locked
    except OSError as error:
        raise STOMPError(
            f"nothing can be kept in {path.parent.parent}: {error.strerror}",
            hint="name a folder that can be written to",
        ) from error


def _end_lease(file: BinaryIO) -> None:
    Path(file.name).unlink(missing_ok=True)
    release(file)


def _error_of(future: Any) -> BaseException:
    error: BaseException = future.exception()
    return error


def _cell(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return f"{value:%H:%M:%S}"
    if isinstance(value, float):
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else visible(value)
