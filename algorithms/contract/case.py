"""Where data lives: the home of a deployment, and the folder of one case in it.

::

    home/
      inbox/<case id>/study/    as received; the only place, with the vault, that holds identifying data
      vault/secret              the key of all pseudonyms: 64 hexadecimal digits, mode 0600
      region                    where this home is; it takes no case of another region
      cases/<case id>/          case.json, <stage>/<key12>/{outputs, manifest.json}, <stage>/failure.json
      store/                    the default object store
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError

CASE_ID = re.compile(r"[0-9a-f]{16}")
"""A case id: the first 64 bits of a keyed hash of the content, opaque to whoever lacks the key."""

CODE = re.compile(r"[a-z0-9-]{1,32}")
"""A region or a site: an assigned code, never a hospital's name."""

LOCAL = "local"
"""Region and site of a laptop, and of a case that was made before cases had them."""

SECRET = "secret"
"""The case input that is the home's key and not a file of the case."""


@dataclass(frozen=True)
class Home:
    """The folder in which a deployment keeps everything."""

    root: Path

    @property
    def cases(self) -> Path:
        """The case folders; nothing identifying."""
        return self.root / "cases"

    @property
    def inbox(self) -> Path:
        """Originals as received, one folder a case; identifying."""
        return self.root / "inbox"

    @property
    def vault(self) -> Path:
        """Keys; whoever reads it can undo pseudonyms."""
        return self.root / "vault"

    @property
    def store(self) -> Path:
        """The default object store."""
        return self.root / "store"

    def case_folder(self, case_id: str) -> Path:
        """Return where the case is kept; raises `DataError` for what is not a case id."""
        if not CASE_ID.fullmatch(case_id):
            raise DataError("a case id is 16 hexadecimal digits, as `python -m algorithms PIPELINE receive STUDY` prints it")
        return self.cases / case_id

    def region(self) -> str | None:
        """Return the region of this home, ``None`` where no case has come in yet."""
        path = self.root / "region"
        return path.read_text().strip() if path.exists() else None

    def settle(self, region: str | None) -> str:
        """Return the region of this home, which is what the first caller said, or `LOCAL`, and never changes.

        Raises
        ------
        DataError
            If a case of another region asks to come in, or that is not a code.
        """
        wanted = region or self.region() or LOCAL
        _require_code(wanted)
        self.root.mkdir(parents=True, exist_ok=True)
        if self.region() is None:
            _write_once(self.root / "region", f"{wanted}\n")
        self.refuse_stranger(wanted)
        return wanted

    def refuse_stranger(self, region: str) -> None:
        """Raise `DataError` for a case of another region."""
        here = self.region()
        if here is not None and region != here:
            raise DataError(f"a case of region {region} came to a home of region {here}; send it to its own region")

    def secret(self) -> Path:
        """Return the file with the key of all pseudonyms, made with mode 0600 when it is first asked for."""
        path = self.vault / SECRET
        if not path.exists():
            self.vault.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_hex(32) + "\n", mode=0o600)
        return path


@dataclass(frozen=True)
class Case:
    """One examination to be answered: its folder, its id, and the sha256 of each input, taken once at the door.

    ``region`` is where its data may be, ``site`` who sent it; raises `DataError` if one is not a code.
    """

    folder: Path
    case_id: str
    pipeline: str
    inputs: Mapping[str, str]
    region: str = LOCAL
    site: str = LOCAL

    def __post_init__(self) -> None:
        _require_code(self.region)
        _require_code(self.site)

    def input_path(self, name: str, home: Home) -> Path:
        """Return where an input of the case is, or was before it was consumed."""
        return home.secret() if name == SECRET else home.inbox / self.case_id / name

    def verify_input(self, name: str, home: Home) -> Path:
        """Return the path of an input whose content is the content that was received.

        Raises
        ------
        DataError
            If the original is gone, or is not what it was when the case was made.
        """
        path = self.input_path(name, home)
        if not path.exists():
            raise DataError(
                f"input {name} of case {self.case_id} is not in the inbox: it was deleted after de-identification, or --home "
                "is not the one that received it; name that one, or receive it again"
            )
        if sha256_path(path) != self.inputs[name]:
            raise DataError(f"input {name} of case {self.case_id} has changed since it was received; receive it again")
        return path

    def write(self) -> None:
        """Write ``case.json``; of two writers of the same case one wins and both are right.

        Raises
        ------
        DataError
            If the folder already holds another case.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {name: getattr(self, name) for name in ("case_id", "pipeline", "region", "site")} | {
            "inputs": dict(self.inputs)
        }
        draft = self.folder / f".case-{secrets.token_hex(8)}.json"
        draft.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
        try:
            os.link(draft, self.folder / "case.json")
        except FileExistsError:
            there = Case._found(self.folder)
            if there is None:
                draft.rename(self.folder / "case.json")
            elif there != self:
                raise DataError(
                    "the case folder already holds another examination or was made with another key; name a new folder"
                ) from None
        finally:
            draft.unlink(missing_ok=True)

    @staticmethod
    def read(folder: Path) -> Case:
        """Return the case in ``folder``; raises `DataError` if there is none."""
        if not (folder / "case.json").exists():
            raise DataError("no case.json in the case folder; make the case with --input STUDY_FOLDER")
        case = Case._found(folder)
        if case is None:
            raise DataError("case.json in the case folder is damaged; receive the same examination again, which mends it")
        return case

    @staticmethod
    def _found(folder: Path) -> Case | None:
        """Return the case in ``folder``, or ``None`` where its description cannot be read."""
        try:
            document = json.loads((folder / "case.json").read_text())
            place = {name: document[name] for name in ("region", "site") if name in document}
            return Case(folder, document["case_id"], document["pipeline"], document["inputs"], **place)
        except (ValueError, KeyError, TypeError):
            return None


def _require_code(text: str) -> None:
    if not CODE.fullmatch(text):
        raise DataError("region and site are codes of 1 to 32 lower-case letters, digits and hyphens; name assigned ones")


def _write_once(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that is never replaced: of two first writers both end with the same text."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    draft.touch(mode=mode, exist_ok=False)
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
