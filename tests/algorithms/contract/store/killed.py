"""``python -m tests.algorithms.contract.store.killed put|get URI NAME FILE OPERATION NUMBER``: a transfer that is killed.

KILL comes before the NUMBERth request of an S3 operation is sent, as if by the out-of-memory killer.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from algorithms.contract.store import multipart, open_store, ranges


def main(action: str, uri: str, name: str, file: str, *kill_at: str) -> None:
    """Put or get one file."""
    operation, number = kill_at
    # One request at a time, so that the number says what is there.
    multipart.PART_BYTES = 5 * 2**20
    multipart.BUFFER_BYTES = 1
    ranges.RANGE_BYTES = 2**20
    ranges.AHEAD = 1
    count = itertools.count(1)
    store: Any = open_store(uri)

    def kill(**_: Any) -> None:
        if next(count) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    store._client.meta.events.register(f"before-call.s3.{operation}", kill)
    store.put_file(Path(file), name) if action == "put" else store.get_file(name, Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
