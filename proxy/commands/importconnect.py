"""`wiremask import-connect`: the masking transforms of a Kafka Connect connector as rules."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from wiremask.proxy.commands.output import write_errors, write_lines
from wiremask.proxy.rulefiles import read_text
from wiremask.rules import RuleSetInvalid, compile_ruleset
from wiremask.rules.language.connect import ConnectorInvalid, import_connector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FAILED = 1
LEFT_OUT = 4
_LIMIT_BYTES = 1 << 20


def import_connect(path: Path, topics: Sequence[str]) -> int:
    """Prints the rules, and on standard error what they lack; 4 if they lack anything, 1 if there is no connector."""
    try:
        imported = import_connector(json.loads(read_text(path, _LIMIT_BYTES)), topics)
        if imported.text:
            compile_ruleset({"imported.yaml": imported.text}, None)
    except OSError as error:
        return _fail(f"{path}: cannot be read ({error.strerror})")
    except ConnectorInvalid as invalid:
        return _fail(f"{path}: {invalid}")
    except RuleSetInvalid as invalid:
        write_errors(invalid)
        return _fail(f"{path}: the settings make no valid rules")
    except (ValueError, RecursionError):
        return _fail(f"{path}: is no JSON")
    sys.stdout.write(imported.text)
    write_lines(("warning", note) for note in imported.notes)
    return LEFT_OUT if imported.notes else 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return FAILED
