"""`wiremask credential`: a line for the file of salted credentials."""

from __future__ import annotations

import getpass
import sys

from wiremask.proxy.sasl.credentials import HASHES, Verifier

USAGE = 2


def credential(name: str, mechanism: str, iterations: int) -> int:
    """Prints the line; 2 if there is no password, or the name or mechanism cannot be used."""
    if mechanism not in HASHES:
        sys.stderr.write(f"there is no mechanism of that name; write {' or '.join(HASHES)}\n")
        return USAGE
    if not name or name != name.strip() or ":" in name or name.startswith("#") or not name.isprintable():
        sys.stderr.write("a name cannot begin with #, hold a colon, or have blanks at its ends\n")
        return USAGE
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().removesuffix("\n")
    if not password:
        sys.stderr.write("there is no password\n")
        return USAGE
    sys.stdout.write(f"{name}:{Verifier.make(password, mechanism, iterations=iterations)}\n")
    return 0
