"""Objects by name under a URI: a folder on disk by default, an S3 bucket in production; sha256-verified.

::

    open_store("file:///srv/heartwood/store")      folders and files; each has a NAME.sha256 beside it (`sha256sum -c` reads it)
    open_store("s3://bucket/prefix")               objects; the sha256 is in their metadata

An object appears whole or not at all, and is never replaced by other content: names carry the key of what made them.
Storing equal content again does nothing, so every upload can be repeated; a large one that was killed goes on where it stopped.

===============  =========================================================
``contract``     what a store is, and what its names look like
``file``         a folder
``s3``           a bucket
``multipart``    a large file on its way to a bucket, and how it goes on
``ranges``       an object on its way back, range by range
``answers``      what a bucket's answers mean for us
``unfinished``   where an object lies until all of it is here
``tree``         a folder as objects, its manifest last
===============  =========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from algorithms.contract.store.answers import ATTEMPTS
from algorithms.contract.store.contract import SHA256, Store
from algorithms.contract.store.file import FileStore
from algorithms.contract.store.tree import get_tree, put_tree

__all__ = ["ATTEMPTS", "SHA256", "Store", "get_tree", "open_store", "put_tree"]


def open_store(uri: str, environment: Mapping[str, str] | None = None) -> Store:
    """Return the store at a ``file://`` or ``s3://`` URI.

    Parameters
    ----------
    uri
        Where it is.
    environment
        Variables (`s3.VARIABLES`) that count more than those of this process, for one who has credentials to give.

    Raises
    ------
    ValueError
        If the URI is of another kind, or names no folder or bucket.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        # Whoever keeps a store on disk does not pay for boto3.
        from algorithms.contract.store.s3 import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"), environment or {})
    raise ValueError("a store is file:///absolute/folder or s3://bucket/prefix")
