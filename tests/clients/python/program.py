"""What the Python programs share: the specification in, one line for each step out, records as the README writes them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

LARGEST_BYTES = 32 * 1024 * 1024
STEP_S = 60.0
REFUSED_S = 8.0
"""How long a send after a refused one may take before it counts as hanging."""

Record = dict[str, Any]
Operation = Callable[..., Any]


def main(use: Callable[..., object]) -> None:
    """Runs the specification on standard input with an object that has a method for each step."""
    specification = json.load(sys.stdin)
    client = use(specification["bootstrap"], **specification.get("settings", {}))
    for step in specification["steps"]:
        arguments = dict(step)
        result = getattr(client, arguments.pop("do"))(**arguments)
        sys.stdout.write(json.dumps({"result": result}) + "\n")
        sys.stdout.flush()


def key_of(record: Record) -> bytes | None:
    """The key that a record shall have."""
    key = record.get("key")
    return None if key is None else key.encode()


def value_of(record: Record) -> bytes | None:
    """The value that a record shall have."""
    value = record.get("value")
    return None if value is None else value.encode() * record.get("times", 1)


def headers_of(record: Record) -> list[tuple[str, bytes]]:
    """The headers that a record shall have."""
    return [(name, content.encode()) for name, content in record.get("headers", [])]


def told(
    *, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Any, timestamp: int
) -> Record:
    """A record that was received, as the README says."""
    return {
        "partition": partition,
        "offset": offset,
        "key": None if key is None else key.decode(),
        "size": None if value is None else len(value),
        "sha256": None if value is None else hashlib.sha256(value).hexdigest(),
        "headers": [[name, None if content is None else content.decode()] for name, content in headers or ()],
        "timestamp": timestamp,
    }


def in_order(records: list[Record]) -> list[Record]:
    """Sorted by partition and offset."""
    return sorted(records, key=lambda record: (record["partition"], record["offset"]))


class Attempts:
    """The outcomes of a sequence of things that may fail or hang, by name."""

    def __init__(self) -> None:
        self.outcomes: list[list[str]] = []

    def attempt(self, what: str, action: Callable[[], object]) -> bool:
        """Does it, notes `ok`, the name of the error or `hangs`, and says whether it went well."""
        outcome: list[str] = []

        def act() -> None:
            try:
                action()
            except Exception as error:  # every library has its own base class
                outcome.append(name_of(error))
            else:
                outcome.append("ok")

        # Some libraries wait without a limit; a thread that hangs is left behind and ends with the program.
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        thread.join(REFUSED_S)
        self.outcomes.append([what, outcome[0] if outcome else "hangs"])
        return outcome == ["ok"]


def name_of(error: BaseException) -> str:
    """An error as its library calls it."""
    named = getattr(error.args[0], "name", None) if error.args else None
    with contextlib.suppress(TypeError):
        if callable(named):
            return str(named())
    return type(error).__name__


def outcome_of(done: object) -> list[str]:
    """`ok` or the name of an error, and what the library says of it."""
    return [name_of(done), str(done)] if isinstance(done, BaseException) else ["ok", ""]


def refuse_plain(
    attempts: Attempts,
    open_producer: Callable[[], Any],
    send: Callable[[Any, Record], object],
    good: Record,
    bad: Record,
) -> list[list[str]]:
    """One record that is taken, one that is refused, two that should be taken; then a new producer."""
    producer = open_producer()
    attempts.attempt("before", lambda: send(producer, good))
    attempts.attempt("refused", lambda: send(producer, bad))
    attempts.attempt("after", lambda: send(producer, good))
    attempts.attempt("after that", lambda: send(producer, good))
    fresh = open_producer()
    attempts.attempt("new producer", lambda: send(fresh, good))
    return attempts.outcomes


class Transactions:
    """What `refuse_transaction` needs of a library."""

    def open(self) -> Any:
        """A producer after `init_transactions`."""
        raise NotImplementedError

    def begin(self, producer: Any) -> None:
        """Begins a transaction."""
        raise NotImplementedError

    def send(self, producer: Any, record: Record) -> None:
        """Sends and waits."""
        raise NotImplementedError

    def commit(self, producer: Any) -> None:
        """Commits."""
        raise NotImplementedError

    def abort(self, producer: Any) -> None:
        """Aborts."""
        raise NotImplementedError


def refuse_transaction(attempts: Attempts, use: Transactions, good: Record, bad: Record) -> list[list[str]]:
    """A refusal inside of a transaction; what commit and abort say, two more transactions, and one of a new producer."""
    producer = use.open()

    def whole(target: Any) -> None:
        use.begin(target)
        try:
            use.send(target, good)
            use.commit(target)
        except Exception:
            use.abort(target)
            raise

    attempts.attempt("begin", lambda: use.begin(producer))
    attempts.attempt("before", lambda: use.send(producer, good))
    attempts.attempt("refused", lambda: use.send(producer, bad))
    attempts.attempt("after", lambda: use.send(producer, good))
    if not attempts.attempt("commit", lambda: use.commit(producer)):
        attempts.attempt("abort", lambda: use.abort(producer))
    attempts.attempt("next transaction", lambda: whole(producer))
    attempts.attempt("one more", lambda: whole(producer))
    attempts.attempt("new producer", lambda: whole(use.open()))
    return attempts.outcomes
