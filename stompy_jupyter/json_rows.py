"""Rows of a DataFrame as JSON, a column at a time: the values of one column are of one kind."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stompy.errors import STOMPBodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_NO_INFINITY = "JSON has no infinity"

_INSTEAD = {
    decimal.Decimal: "astype(str), or astype(float) where the digits are not needed",
    bytes: "decode it where it is text, or base64.b64encode() it",
}
"""What to try with values for which JSON has no form."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Column:
    """One column of whatever holds rows.

    Args:
        name: what it is called.
        data: its values: a pandas Series, or an Arrow column.
    """

    def __init__(self, name: str, data: pd.Series | pa.ChunkedArray) -> None:
        self.name = name
        self._data = data

    def json(self, first: int, end: int) -> list[str]:
        """The JSON of the values in rows `first` to `end`.

        Raises:
            STOMPBodyError: a value has no JSON; it names the row.
        """
        return self._each(first, end, json_texts, json_text)

    def headers(self, first: int, end: int) -> list[str | None]:
        """The values of these rows as text for headers; None where there is none.

        Raises:
            STOMPBodyError: a value is no single one; it names the row.
        """
        return self._each(first, end, _header_texts, _header_text)

    def bodies(self, first: int, end: int) -> list[str | bytes]:
        """The values of these rows, which are text or octets.

        Raises:
            STOMPBodyError: a value is something else; it names the row.
        """
        return self._each(first, end, lambda values: list(map(_body, _objects(values))), _body)

    def _each(
        self,
        first: int,
        end: int,
        convert_all: Callable[[pa.Array], list[Any]],
        convert: Callable[[object], Any],
    ) -> list[Any]:
        """The values converted, all at once where they are of one type."""
        row = first
        try:
            values = self._values(first, end)
            if isinstance(values, pa.Array):
                return convert_all(values)
            texts = []
            for value in values:
                texts.append(convert(value))
                row += 1
            return texts
        except (ValueError, RecursionError, pa.ArrowException) as error:
            if isinstance(error, _NoForm) and error.row is not None:
                row = first + error.row
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            hint = error.hint if isinstance(error, _NoForm) else None
            raise STOMPBodyError(f"row {row}, column {self.name!r}: {why}", hint=hint) from error

    def _values(self, first: int, end: int) -> pa.Array | Sequence[object]:
        if isinstance(self._data, pd.Series):
            part = self._data.iloc[first:end]
            if part.dtype == object:
                return part.tolist()
            values = pa.Array.from_pandas(part)
        else:
            values = self._data.slice(first, end - first)
        return _usual(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)


def columns_of(data: Any, index: bool = False) -> tuple[list[Column], int]:
    """The columns of whatever holds rows, and how many rows these are.

    Args:
        data: a pandas DataFrame, or what Arrow can read: of pyarrow, of polars, a stream.
        index: whether the index of a pandas DataFrame is among the columns.

    Raises:
        ValueError: it is none of these, or two columns have one name.
    """
    if isinstance(data, pd.DataFrame):
        frame = data.reset_index() if index else data
        names, rows = list(frame.columns), len(frame)
        series = [frame.iloc[:, place] for place in range(len(names))]
    elif hasattr(data, "__arrow_c_stream__"):
        if index:
            raise ValueError("index=True is for pandas: nothing else has an index")
        table = _table(data)
        names, series, rows = table.column_names, table.columns, table.num_rows
    else:
        raise ValueError(_no_columns(data))
    texts = list(map(str, names))
    twice = next((name for place, name in enumerate(texts) if name in texts[:place]), None)
    if twice is not None:
        raise ValueError(f"two columns are called {twice!r}")
    return [Column(*named) for named in zip(texts, series, strict=True)], rows


def _table(data: Any) -> pa.Table:
    try:
        return pa.table(data)
    except pa.ArrowInvalid as error:  # a single column, e.g. a Series
        raise ValueError(_no_columns(data)) from error


def _no_columns(data: object) -> str:
    return f"a {type(data).__name__} has no columns; a DataFrame has, and what Arrow can read"


def rows_json(columns: Iterable[Column], first: int, end: int) -> list[bytes]:
    """Rows as the JSON of objects, in UTF-8.

    Example:
        >>> columns, rows = columns_of(pd.DataFrame({"symbol": ["ABC"], "price": [42.5]}))
        >>> rows_json(columns, 0, rows)
        [b'{"symbol":"ABC","price":42.5}']
    """
    named = {column.name: column.json(first, end) for column in columns}
    if not named:
        return [b"{}"] * (end - first)
    # One template for all rows: to join and quote the names again and again takes twice as long.
    names = (encode_basestring(name).replace("%", "%%") for name in named)
    template = "{" + ",".join(f"{name}:%s" for name in names) + "}"
    return [(template % row).encode() for row in zip(*named.values(), strict=True)]


# -- columns of one type ---------------------------------------------------------------------------


class _NoForm(ValueError):
    """A value that cannot be written; `row` counts from the first that was given."""

    def __init__(self, message: str, hint: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.row = row


def _usual(values: pa.Array) -> pa.Array:
    """The same values in a type that Arrow's functions have: no dictionary, no view."""
    kind, types = values.type, pa.types
    if types.is_dictionary(kind):
        words = _usual(values.dictionary)
        return pa.DictionaryArray.from_arrays(values.indices, words).dictionary_decode()
    if types.is_string_view(kind):
        return values.cast(pa.large_string())
    return values.cast(pa.large_binary()) if types.is_binary_view(kind) else values


def json_texts(values: pa.Array) -> list[str]:
    """The JSON of the values of an Arrow array: null where there is none, ISO 8601 for times.

    Times with a zone are in UTC, lengths of time as in ``P0DT0H1M30S``.

    Raises:
        ValueError: the type has no JSON, or a number is infinite.
    """
    kind = values.type
    if pa.types.is_nested(kind):
        return [_at(row, json_text, value) for row, value in enumerate(values.to_pylist())]
    texts = _simple_texts(values)
    if values.null_count:
        for row in np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)):
            texts[row] = "null"
    return texts


def _simple_texts(values: pa.Array) -> list[str]:
    """The same, but anything where there is no value."""
    kind, types = values.type, pa.types
    if types.is_null(kind):
        return ["null"] * len(values)
    if types.is_boolean(kind):
        return ["true" if value else "false" for value in _filled(values, False)]
    if types.is_integer(kind):
        return list(map(str, _filled(values, 0)))
    if types.is_floating(kind):
        return _float_texts(values.cast(pa.float64()))
    if _is_text(kind):
        return list(map(encode_basestring, _filled(values, "")))
    if types.is_temporal(kind):
        return [f'"{text}"' for text in _time_texts(values)]
    if types.is_decimal(kind):
        raise _NoForm(f"{kind} has no form in JSON", _INSTEAD[decimal.Decimal], 0)
    is_binary = types.is_binary(kind) or types.is_large_binary(kind)
    raise _NoForm(f"{kind} has no form in JSON", _INSTEAD[bytes] if is_binary else "astype(str)", 0)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _filled(values: pa.Array, instead: object) -> list[Any]:
    """The values as Python objects, `instead` where there is none: numbers stay what they are."""
    whole = values.fill_null(instead) if values.null_count else values
    objects: list[Any] = whole.to_numpy(zero_copy_only=False).tolist()
    return objects


def _float_texts(values: pa.Array) -> list[str]:
    numbers = values.fill_null(math.nan).to_numpy(zero_copy_only=False)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise _NoForm(_NO_INFINITY, row=int(infinite[0]))
    texts = list(map(repr, numbers.tolist()))
    for row in np.flatnonzero(np.isnan(numbers)):
        texts[row] = "null"
    return texts


def _time_texts(values: pa.Array) -> list[str]:
    """Times in ISO 8601."""
    kind, types = values.type, pa.types
    if types.is_date(kind):
        values, unit = values.cast(pa.date32()), "D"
    elif types.is_duration(kind):
        lengths = values.cast(pa.int64()).fill_null(0).to_pylist()
        return [pd.Timedelta(length, kind.unit).isoformat() for length in lengths]
    elif types.is_time(kind) or types.is_timestamp(kind):
        unit = kind.unit
    else:
        raise _NoForm(f"{kind} has no form in JSON", "astype(str)", 0)
    wide = values.cast(pa.int32()).cast(pa.int64()) if unit == "D" else _as_int64(values)
    moments = wide.fill_null(0).to_numpy(zero_copy_only=False).view(f"M8[{unit}]")
    texts: list[str] = np.datetime_as_string(moments).tolist()
    if types.is_time(kind):
        return [text.partition("T")[2] for text in texts]
    # Arrow has times with a zone in UTC.
    return [f"{text}Z" for text in texts] if types.is_timestamp(kind) and kind.tz else texts


def _as_int64(values: pa.Array) -> pa.Array:
    narrow = pa.types.is_time32(values.type)
    return values.cast(pa.int32()).cast(pa.int64()) if narrow else values.cast(pa.int64())


def _objects(values: pa.Array) -> list[Any]:
    if pa.types.is_null(values.type):
        return [None] * len(values)
    return _filled(values, None) if not values.null_count else values.to_pylist()


def _at(row: int, convert: Callable[[object], Any], value: object) -> Any:
    """`convert(value)`, whose error says in which row that is."""
    try:
        return convert(value)
    except _NoForm as error:
        error.row = row
        raise


# -- single values ---------------------------------------------------------------------------------


def json_text(value: object) -> str:
    """The JSON of one value: lists and dicts with what is in them, null for NaN, NA and NaT.

    Raises:
        ValueError: there is none, e.g. for a Decimal, for octets, for infinity.

    Example:
        >>> json_text({"at": datetime.date(2026, 11, 30), "price": math.nan})
        '{"at":"2026-11-30","price":null}'
    """
    text = encode_basestring(value) if type(value) is str else _encode(plain(value))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NoForm("text with half a character (a surrogate) cannot be sent") from None
    return text


def plain(value: Any) -> Any:
    """A value made of nothing but what JSON has."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise _NoForm(_NO_INFINITY)
        return None if math.isnan(value) else float(value)
    if isinstance(value, dict):
        return {_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return pd.Timedelta(value).isoformat()
    # Before the others of NumPy: item() may make a number of these.
    if isinstance(value, np.datetime64):
        return plain(pd.Timestamp(value))
    if isinstance(value, np.timedelta64):
        return plain(pd.Timedelta(value))
    if isinstance(value, np.generic) and not isinstance(value, np.bytes_ | np.void | np.longdouble):
        return plain(value.item())
    hint = next((text for kind, text in _INSTEAD.items() if isinstance(value, kind)), "astype(str)")
    raise _NoForm(f"a {type(value).__name__} has no form in JSON", hint)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise _NoForm(f"the key {key!r:.40} is no text", "str() it: JSON has no other keys")


def _body(value: object) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    missing = value is None or value is pd.NA or value is pd.NaT or value != value
    what = "no value" if missing else f"a {type(value).__name__}"
    raise _NoForm(f"{what}, but a body is text or octets", "leave body= out: rows become JSON")


def _header_texts(values: pa.Array) -> list[str | None]:
    if _is_text(values.type):
        return _objects(values)
    if pa.types.is_nested(values.type):
        raise _NoForm("a header is a single value", row=0)
    return [None if text == "null" else text.strip('"') for text in json_texts(values)]


def _header_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    text = json_text(value)
    if text[0] in "[{":
        raise _NoForm("a header is a single value")
    return None if text == "null" else text.strip('"')
