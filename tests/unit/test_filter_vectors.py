"""A filter of the widget finds the same rows everywhere: vectors that TypeScript checks as well."""

import json
from pathlib import Path

import pytest

from stompy import STOMPFrame
from stompy_jupyter.batch import HeaderNames
from stompy_jupyter.search import Term
from stompy_jupyter.table import FrameTable

VECTORS = json.loads(Path(__file__, "../../../js/tests/filters.json").resolve().read_bytes())


def filled(rows, decode):
    """A table with these rows."""
    table = FrameTable(decode=decode)
    for row in rows:
        body = row["octets"].encode("latin-1") if "octets" in row else row["body"].encode()
        table.append(STOMPFrame("MESSAGE", row["headers"], body))
    return table


@pytest.mark.parametrize("vector", VECTORS["filters"], ids=lambda vector: vector["filter"])
def test_the_pandas_expression_selects_the_rows_that_the_filter_finds(vector):
    table = VECTORS["tables"][vector["table"]]
    variables = {"prices": filled(table["rows"], table["decode"])}
    selected = eval(vector["pandas"], variables)
    assert selected.index.tolist() == vector["matches"]
    assert selected.columns.tolist() == variables["prices"].df.columns.tolist()


@pytest.mark.parametrize("vector", VECTORS["filters"], ids=lambda vector: vector["filter"])
def test_the_kernel_finds_the_same_rows(vector):
    table = VECTORS["tables"][vector["table"]]
    terms = [Term(term["header"], term["text"], term["not"]) for term in vector["terms"]]
    assert filled(table["rows"], table["decode"]).find(terms).numbers == vector["matches"]


@pytest.mark.parametrize("table", VECTORS["tables"].values(), ids=VECTORS["tables"])
def test_the_columns_of_the_vectors_are_those_of_the_table(table):
    names = HeaderNames()
    names.learn(header for row in table["rows"] for header in row["headers"])
    assert {header: names[header] for header, _ in table["columns"]} == dict(table["columns"])
    columns = set(filled(table["rows"], table["decode"]).df.columns)
    assert {column for _, column in table["columns"]} <= columns
