"""Files that were refused, kept under new names, each with its reason; identifying, so readable by their owner only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from algorithms.dicom.pseudonym import digest


@dataclass
class Quarantine:
    """Counts refusals by reason, and copies the files to ``folder`` if there is one.

    A file is called by a keyed hash of its content, so that a second run changes nothing.
    """

    source: Path
    folder: Path | None
    secret: bytes = field(repr=False)
    reasons: Counter[str] = field(default_factory=Counter)

    def refuse(self, name: str, failure: tuple[str, str]) -> None:
        """Count the refusal of a file below the source, and keep a copy with its reason."""
        kind, sentence = failure
        self.reasons[kind] += 1
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.source / name
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        kept = self.folder / digest(self.secret, "quarantine", content).hex()[:32]
        draft = kept.with_suffix(".draft")
        shutil.copyfile(path, draft)
        draft.chmod(0o600)
        draft.rename(kept.with_suffix(".dcm"))
        reason = {"reason": kind, "sentence": sentence, "sha256": content, "size_bytes": path.stat().st_size}
        with os.fdopen(os.open(kept.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file_out:
            file_out.write(json.dumps(reason) + "\n")
