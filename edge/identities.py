"""What a vault knows of who studies are about that were de-identified outside a case: found by results, destroyed in time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity, remembered_before
from algorithms.contract.vault import destroy_key
from edge.audit import append

log = logging.getLogger(__name__)

DAY_S = 86400.0

UIDS = "uids"
"""In a file of pseudonyms: the first pseudonym of each UID that stands for it in the results."""


def destroy_outlived(home: Home, keep_days: float, now: float) -> int:
    """Destroy the records that are older than ``keep_days``, each after a line in the audit; return how many.

    One whose line cannot be written stays, and its time comes again.
    """
    records = remembered_before(home, now - keep_days * DAY_S)
    for done, record in enumerate(records):
        try:
            append(home, "destroy identity", record, 1)
            destroy_key(home, record)
        except (DataError, OSError) as error:
            log.error("%d records of identities are too old and stay (%s)", len(records) - done, type(error).__name__)
            return done
        log.info("destroyed the record of who study %s is about", record)
    return len(records)


def pseudonyms(path: Path) -> Mapping[str, str]:
    """Return the first pseudonym of each UID in a file that ``edge.pseudonyms`` has written.

    Raises
    ------
    DataError
        If there is none, or it is none.
    """
    try:
        told = json.loads(path.read_text())[UIDS]
        return {str(second): str(first) for second, first in told.items()}
    except OSError as error:
        raise DataError(f"the file of pseudonyms cannot be read ({error.strerror}); name the one that came with it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError("the file of pseudonyms is none; ask the platform for python -m edge.pseudonyms of this case") from None


def behind(identity: Identity, seconds: Mapping[str, str]) -> Identity:
    """Return the identity as results know it whose UIDs are ``seconds``: pseudonyms of the pseudonyms that it knows."""
    known = {second: identity.uids[first] for second, first in seconds.items() if first in identity.uids}
    return Identity(identity.attributes, known)
