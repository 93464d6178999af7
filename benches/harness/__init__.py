"""Measures contestants beside each other: programs that answer requests, a line of JSON each (see ../README.md)."""

from .contestant import Contestant, Failure, start
from .measure import Cell, Settings, cell, measure
from .results import ratio, read, report, row, write

__all__ = [
    "Cell",
    "Contestant",
    "Failure",
    "Settings",
    "cell",
    "measure",
    "ratio",
    "read",
    "report",
    "row",
    "start",
    "write",
]
