"""Functions for the confined child: one that behaves and one that does what hostile files make parsers do."""

from __future__ import annotations

import os
import time

from algorithms.contract.errors import DataError


def double(context: int, item: int) -> int:
    """Return a product, for the child."""
    return context * item


def misbehave(_context: None, item: str) -> str:
    """Do what hostile files make parsers do, for the child."""
    match item:
        case "memory":
            return str(len(bytearray(8 * 2**30)))
        case "time":
            time.sleep(60)
        case "abort":
            os.abort()
        case "nesting":
            return misbehave(None, item)
        case "print":
            print("a parser that talks")  # noqa: T201
        case "data":
            raise DataError("send another file")
        case "disk":
            raise OSError(28, "No space left on device", "a/file")
        case "bug":
            raise KeyError("Quastenflosser")
    return item
