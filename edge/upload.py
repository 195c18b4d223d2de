"""``python -m edge.upload STUDY_FOLDER --to URI --pipeline NAME --site CODE --region CODE``: send an examination to a platform.

Every file goes up under a name that says nothing, the manifest last.  The upload is called by a keyed hash of what it holds,
so the same command goes on where an interrupted one stopped, and sending the same examination again sends nothing.

The files are sent as they are: what identifies a person in them is removed by the platform's first stages, so the store must be
one that may hold such data.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.digest import sha256_listing, sha256_path
from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.inbox import MAX_FILES
from algorithms.contract.intake import FILES, Upload, UploadFile
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.contract.store import Store, open_store
from algorithms.contract.vault import encrypt

log = logging.getLogger("edge.upload")


def send(
    study_folder: Path,
    store: Store,
    key: bytes,
    *,
    pipeline: str,
    site: str,
    region: str,
    study: str | None = None,
    parameters: dict[str, str] | None = None,
) -> str:
    """Store every file of a folder and then the manifest, and return the name of the upload.

    Parameters
    ----------
    study_folder
        What is sent; symbolic links inside it are not followed.
    store
        Where the platform looks for uploads.
    key
        The sender's secret: the names of upload and study come from it and from the content.
    pipeline, site, region
        Codes for the manifest.
    study
        Pseudonym of the study; from the content by default.
    parameters
        Of the pipeline, where they differ from their default.

    Raises
    ------
    DataError
        If the folder holds no files or too many, or a code is not as the manifest wants it.
    """
    named = named_files(study_folder)
    content = sha256_listing({file.name: file.sha256 for file, _ in named})
    upload = Upload(
        pipeline=pipeline,
        site=site,
        region=region,
        study=study or keyed(key, f"study {content}"),
        files=[file for file, _ in named],
        parameters=parameters or {},
    )
    return put(upload, {file.name: path for file, path in named}, store, key)


def named_files(folder: Path) -> list[tuple[UploadFile, Path]]:
    """Return every file of an examination with the name under which it goes up; names follow from the content alone.

    Raises
    ------
    DataError
        If there is no such folder, or it holds no files or too many.
    """
    if not folder.is_dir():
        raise DataError("the study is no folder; unpack it and name the folder that holds the examination")
    hashed = sorted((sha256_path(path), path) for path in _files(folder))
    if not 1 <= len(hashed) <= MAX_FILES:
        raise DataError(f"the folder holds {len(hashed)} files, wanted 1 to {MAX_FILES}; name the folder of one examination")
    return [
        (UploadFile(f"{FILES}/{number:06d}", sha256, path.stat().st_size), path)
        for number, (sha256, path) in enumerate(hashed, start=1)
    ]


def sealed_files(named: Sequence[tuple[UploadFile, Path]], folder: Path, data_key: bytes) -> list[tuple[UploadFile, Path]]:
    """Return the files of an examination encrypted under a data key into ``folder``, each for the name it goes up by."""
    found = []
    for file, path in named:
        sealed = folder / Path(file.name).name
        encrypt(path, sealed, data_key, file.name)
        found.append((UploadFile(file.name, sha256_path(sealed), sealed.stat().st_size), sealed))
    return found


def put(upload: Upload, paths: Mapping[str, Path], store: Store, key: bytes) -> str:
    """Store the files of an upload by their names and then its manifest, and return what it is called."""
    text = upload.text()
    Upload.parse(text)  # what the platform would refuse is not sent
    name = upload_id(text, key)
    for file in upload.files:
        store.put_file(paths[file.name], f"{name}/{file.name}")
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / MANIFEST
        manifest.write_bytes(text)
        store.put_file(manifest, f"{name}/{MANIFEST}")
    return name


def upload_id(text: bytes, key: bytes) -> str:
    """Return what the upload with this manifest is called."""
    return keyed(key, f"upload {hashlib.sha256(text).hexdigest()}")


def keyed(key: bytes, text: str) -> str:
    """Return a name for ``text`` that nobody without the key can compute: 32 hexadecimal digits."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _files(folder: Path) -> Iterator[Path]:
    for below, _, names in os.walk(folder):
        paths = (Path(below) / name for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    name = send(
        options.study_folder,
        open_store(options.to),
        bytes.fromhex(Home(options.home).secret().read_text().strip()),
        pipeline=options.pipeline,
        site=options.site,
        region=options.region,
        study=options.study,
        parameters=dict(_setting(text) for text in options.set),
    )
    print(json.dumps({"upload": name}))  # noqa: T201 - the command's result
    return EXIT_OK


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise DataError("--set wants NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edge.upload", description="Send an examination to a platform.")
    parser.add_argument("study_folder", type=Path, metavar="STUDY_FOLDER", help="the folder that holds one examination")
    parser.add_argument("--to", required=True, metavar="URI", help="where the platform looks: file:// or s3:// URI")
    parser.add_argument("--pipeline", required=True, metavar="NAME", help="the diagnostic, such as coronary")
    parser.add_argument("--site", required=True, metavar="CODE", help="code of this site, agreed with the platform")
    parser.add_argument("--region", required=True, metavar="CODE", help="where the data may be kept, such as eu-central-1")
    parser.add_argument("--study", metavar="ID", help="pseudonym of the study, 32 hexadecimal digits (default: of its content)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the pipeline")
    parser.add_argument(
        "--home", type=Path, default=Path("data"), metavar="DIR", help="keeps this sender's key in vault/secret (default: data)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
