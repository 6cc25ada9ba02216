"""The exercises of the lessons in ``notebooks/``, a module for each lesson."""

# ruff: noqa: I001 - in the order of the lessons

from stompy_jupyter.lessons import connecting as connecting
from stompy_jupyter.lessons import sending as sending
from stompy_jupyter.lessons import headers as headers
from stompy_jupyter.lessons import acknowledging as acknowledging
from stompy_jupyter.lessons import receipts as receipts
from stompy_jupyter.lessons import transactions as transactions
from stompy_jupyter.lessons import failing as failing
from stompy_jupyter.lessons import streams as streams
