"""The baseline: the ruleset that masked last, in a file, so that a restart cannot mask less than what ran before it.

    {"kind": "Baseline", "digest": "...", "files": {"a.yaml": "...", ...}}

The file holds the texts of the rule files, which hold no keys. It is written as a whole beside itself and then renamed,
so that there is always one whole version of it. A file that is not there is made: the first start has nothing to be
compared with. A file that is damaged is an error, because what it would have forbidden is not known.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from wiremask.proxy.rulefiles import read_text
from wiremask.proxy.stepdown import Ruleset
from wiremask.rules import RuleError, RuleSetInvalid
from wiremask.rules.language.ruleset import TOTAL_LIMIT_CHARACTERS, digest_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_baseline", "write_baseline"]

KIND = "Baseline"
# JSON writes a character in at most 12 bytes.
LIMIT_BYTES = 12 * TOTAL_LIMIT_CHARACTERS + (1 << 20)


def read_baseline(path: Path) -> Ruleset | None:
    """The ruleset in the file; None if there is no file.

    Raises:
        RuleSetInvalid: the file cannot be read, or is damaged.
    """
    try:
        found = json.loads(read_text(path, LIMIT_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(path, f"the baseline cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    match found:
        case {"kind": "Baseline", "digest": str(digest), "files": dict(files)} if files and all(
            isinstance(text, str) for text in files.values()
        ):
            try:
                is_whole = digest_of(files) == digest
            except UnicodeEncodeError:
                is_whole = False
            if is_whole:
                return Ruleset(digest=digest, texts=files)
    raise _damaged(path)


def write_baseline(path: Path, ruleset: Ruleset) -> None:
    """Puts a ruleset in the file, as a whole or not at all.

    Raises:
        RuleSetInvalid: it cannot be written.
    """
    document = {"kind": KIND, "digest": ruleset.digest, "files": dict(ruleset.texts)}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="ascii") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _invalid(
            path, f"the baseline cannot be written ({error.strerror}); make its directory writable"
        ) from None


def _damaged(path: Path) -> RuleSetInvalid:
    return _invalid(
        path,
        "the baseline is damaged, so what these rules may not weaken is not known; restore the file, "
        "or delete it if you are sure of the rules",
    )


def _invalid(path: Path, message: str) -> RuleSetInvalid:
    return RuleSetInvalid([RuleError(file=str(path), line=1, column=1, message=message)])
