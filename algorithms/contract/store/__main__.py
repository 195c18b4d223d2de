"""``python -m algorithms.contract.store list|get|put|sweep URI ...``: look into an object store and get things out of it.

The result is JSON on standard output; exit codes are those of the stages.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.contract.store import Store, get_tree, open_store

log = logging.getLogger("algorithms.contract.store")

DAY_S = 86400


def listed(store: Store, options: argparse.Namespace) -> list[str]:
    """Return the names below a prefix."""
    return store.list(options.prefix)


def got(store: Store, options: argparse.Namespace) -> str:
    """Write an object, or a whole tree, below the folder and return its path."""
    if not store.exists(options.name):
        return str(get_tree(store, options.name, options.folder))
    options.folder.mkdir(parents=True, exist_ok=True)
    return str(store.get_file(options.name, options.folder / Path(options.name).name))


def put(store: Store, options: argparse.Namespace) -> str:
    """Store a file and return its URI."""
    if not options.file.is_file():
        raise DataError("there is no such file to store")
    return store.put_file(options.file, options.name)


def swept(store: Store, options: argparse.Namespace) -> int:
    """Remove what uploads have left that were killed long ago, and return how many."""
    return store.sweep(options.days * DAY_S)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    action: Callable[[Store, argparse.Namespace], object] = options.action
    try:
        store = open_store(options.uri)
    except ValueError as error:
        raise DataError(str(error)) from None
    print(json.dumps(action(store, options)))
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m algorithms.contract.store", description="Look into an object store.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: Callable[[Store, argparse.Namespace], object], help: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=help, description=help)
        added.set_defaults(action=run)
        added.add_argument("uri", metavar="URI", help="file:///absolute/folder or s3://bucket/prefix")
        return added

    action("list", listed, "names of objects").add_argument("--prefix", default="", help="how they start")
    get = action("get", got, "fetch an object, or a tree that has a manifest, and verify it")
    get.add_argument("name", metavar="NAME", help="its name, or the prefix of the tree")
    get.add_argument("folder", type=Path, metavar="FOLDER", help="where it is written")
    store = action("put", put, "store a file, such as an encoder's weights")
    store.add_argument("name", metavar="NAME", help="the name it gets")
    store.add_argument("file", type=Path, metavar="FILE", help="what is stored")
    sweep = action("sweep", swept, "end uploads that were killed and that nobody went on with")
    sweep.add_argument("--days", type=float, default=7, help="only those begun so long ago (default: 7)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
