"""Objects by name under a URI: a folder on disk by default, an S3 bucket in production; sha256-verified.

::

    open_store("file:///srv/heartwood/store")      folders and files; each has a NAME.sha256 beside it (`sha256sum -c` reads it)
    open_store("s3://bucket/prefix")               objects; the sha256 is in their metadata

An object appears whole or not at all, and is never replaced by other content: names carry the key of what made them.
Storing equal content again does nothing, so every upload can be repeated.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError, TransientError

SHA256 = "sha256"
"""Metadata name of an object's hash, and the suffix of the file beside a file."""

ATTEMPTS = 5
"""Tries of one S3 request; with boto3's standard back-off this outlives 20 % of answers being 503 (docs/operations.md)."""

TRANSIENT_CODES = frozenset({"500", "502", "503", "504", "InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"})
"""S3's answers that ask for the same request later."""

ABSENT_CODES = frozenset({"404", "NoSuchKey", "NotFound"})


class Store(Protocol):
    """Where originals, published reports and models are kept."""

    uri: str

    def put_file(self, path: Path, name: str) -> str:
        """Store a file under ``name`` and return its URI; raises ``FileExistsError`` if other content has that name."""
        ...

    def get_file(self, name: str, path: Path) -> Path:
        """Write the object to ``path`` and return it.

        Raises
        ------
        DataError
            If there is no such object, or it is no longer what was stored.
        """
        ...

    def sha256(self, name: str) -> str | None:
        """Return the sha256 that was stored with the object, or ``None`` where there is no such object."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is an object of this name."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return the names that start with ``prefix``, sorted."""
        ...


def open_store(uri: str) -> Store:
    """Return the store at a ``file://`` or ``s3://`` URI.

    Raises
    ------
    ValueError
        If the URI is of another kind, or names no folder or bucket.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"))
    raise ValueError("a store is file:///absolute/folder or s3://bucket/prefix")


def put_tree(store: Store, folder: Path, prefix: str) -> list[str]:
    """Store every file below ``folder`` under ``prefix``, in sorted order, and return the URIs."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [store.put_file(path, f"{prefix}/{path.relative_to(folder).as_posix()}") for path in files]


class FileStore:
    """Objects as files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri()

    def put_file(self, path: Path, name: str) -> str:
        """See `Store.put_file`."""
        place = self.root / _checked(name)
        digest = sha256_path(path)
        if not _same(self.sha256(name), digest, name):
            place.parent.mkdir(parents=True, exist_ok=True)
            with _draft(place) as draft:
                shutil.copyfile(path, draft)
                _flush(draft)
                beside = _beside(place)
                with _draft(beside) as note:
                    note.write_text(f"{digest}  {place.name}\n")
                    note.rename(beside)
                draft.rename(place)
        return f"{self.uri}/{name}"

    def get_file(self, name: str, path: Path) -> Path:
        """See `Store.get_file`."""
        place = self.root / _checked(name)
        wanted = self.sha256(name)
        if wanted is None:
            raise DataError(f"no object {name} in the store")
        with _draft(path) as draft:
            shutil.copyfile(place, draft)
            _verify(draft, wanted, name)
            draft.rename(path)
        return path

    def sha256(self, name: str) -> str | None:
        """See `Store.sha256`."""
        place = self.root / _checked(name)
        return _beside(place).read_text().split()[0] if place.exists() else None

    def exists(self, name: str) -> bool:
        """See `Store.exists`."""
        return (self.root / _checked(name)).is_file()

    def list(self, prefix: str = "") -> list[str]:
        """See `Store.list`."""
        names = (p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())
        return sorted(n for n in names if n.startswith(prefix) and not n.endswith(f".{SHA256}") and "/.draft-" not in f"/{n}")


class S3Store:
    """Objects in an S3 bucket; region, credentials and endpoint are boto3's own settings (AWS_ENDPOINT_URL and so on)."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self.bucket = bucket
        self.prefix = prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client: Any = boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}))

    def put_file(self, path: Path, name: str) -> str:
        """See `Store.put_file`; large files go up in parts."""
        digest = sha256_path(path)
        if not _same(self.sha256(name), digest, name):
            with _s3_errors(name):
                self._client.upload_file(str(path), self.bucket, self._key(name), ExtraArgs={"Metadata": {SHA256: digest}})
        return f"{self.uri}/{name}"

    def get_file(self, name: str, path: Path) -> Path:
        """See `Store.get_file`; large objects come down in parts."""
        wanted = self.sha256(name)
        if wanted is None:
            raise DataError(f"no object {name} in the store")
        with _draft(path) as draft:
            with _s3_errors(name):
                self._client.download_file(self.bucket, self._key(name), str(draft))
            _verify(draft, wanted, name)
            draft.rename(path)
        return path

    def sha256(self, name: str) -> str | None:
        """See `Store.sha256`; an object that somebody else put there without a hash has the hash ``""``."""
        from botocore.exceptions import ClientError

        key = self._key(name)
        with _s3_errors(name):
            try:
                head = self._client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if _code(error) in ABSENT_CODES:
                    return None
                raise
        return str(head["Metadata"].get(SHA256, ""))

    def exists(self, name: str) -> bool:
        """See `Store.exists`."""
        return self.sha256(name) is not None

    def list(self, prefix: str = "") -> list[str]:
        """See `Store.list`."""
        start = f"{self.prefix}/" if self.prefix else ""
        with _s3_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start + prefix)
            return sorted(entry["Key"].removeprefix(start) for page in pages for entry in page.get("Contents", ()))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{_checked(name)}".lstrip("/")


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    plain = name == str(path) and not path.is_absolute() and ".." not in path.parts and name.isprintable() and "\\" not in name
    if not plain or name in {"", "."} or name.endswith(f".{SHA256}") or any(part.startswith(".draft-") for part in path.parts):
        raise ValueError("an object's name is a relative path with / between its parts")
    return name


def _same(stored: str | None, digest: str, name: str) -> bool:
    if stored is not None and stored != digest:
        raise FileExistsError(f"the store has other content under the name {name}")
    return stored is not None


def _verify(path: Path, wanted: str, name: str) -> None:
    if sha256_path(path) != wanted:
        raise DataError(f"object {name} is not what was stored; restore it from the backup or make it again")


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.{SHA256}")


@contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """Give a path beside ``place`` that is gone afterwards, unless it was renamed."""
    draft = place.with_name(f".draft-{secrets.token_hex(8)}")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    # Without it a power loss after the rename can leave an empty file under the final name.
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _s3_errors(name: str) -> Iterator[None]:
    """Turn what S3 answers when it is busy or out of reach into `TransientError`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, IncompleteReadError

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        # upload_file wraps what happened in an error of its own.
        cause = error.__cause__ or error.__context__ if isinstance(error, Boto3Error) else error
        if isinstance(cause, ConnectionError | HTTPClientError | IncompleteReadError):
            raise TransientError(f"S3 out of reach for {name} ({type(cause).__name__}); {ATTEMPTS} attempts") from error
        if isinstance(cause, ClientError) and _code(cause) in TRANSIENT_CODES:
            raise TransientError(f"S3 answered {_code(cause)} for {name}; {ATTEMPTS} attempts") from error
        raise
