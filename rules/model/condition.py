"""Conditions on the client: CEL expressions over who it is and what it asks for, checked at load.

    principal == "User:fraud-team" && topic.startsWith("payments.")

What is not known (a principal that no proxy can read) is left unbound, and CEL does the rest: `true || unknown` is
true, and where the result hangs on the unknown the evaluation ends in an error. An error of any kind is no answer:
`holds` gives None, and the plan decides for each field on the safe side.

Source: https://github.com/cel-expr/cel-spec, doc/langdef.md ("Evaluation", "Logical Operators").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from wiremask.rules.nodes.shape import choices, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cel_expr_python.cel import Env, Expression

_TEXTS = ("principal", "clientId", "topic", "listener")
VARIABLES = (*_TEXTS, "claims")
FUNCTIONS = ("contains", "endsWith", "matches", "size", "startsWith", "all", "exists")
FAULTS_LIMIT = 5

_EXAMPLE = 'principal == "User:alice"'
_FAULT = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?: \[[A-Z_]+\])?$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '[^']*' applied to '(\([a-z_, ()]*\))'")
_WORD_OPERATORS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_WORD = re.compile(r"\w*")
_BEFORE_CALL = re.compile(r"\w+\s*\Z")
_BEFORE_DOT = re.compile(r"[\w.]+\Z")


class Claims:
    """What the issuer of an access token says of a client, verified. Immutable, and equal if it says the same."""

    __slots__ = ("_text", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._text = json.dumps(values, sort_keys=True)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Claims | None:
        """The claims; None where CEL would not see them as they are."""
        return cls(values) if _is_plain_tree(values) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Claims) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Claims(names={sorted(self.values)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is known of who asks; None where it is not known.

    Attributes:
        principal: as the broker knows it, `User:name`.
        client_id: what the client calls itself.
        listener: the name of the listener that it came in by.
        claims: of an access token that the proxy has verified.
    """

    principal: str | None = None
    client_id: str | None = None
    listener: str | None = None
    claims: Claims | None = None


NOBODY = Client()
"""A client of whom nothing is known."""


class ConditionInvalid(ValueError):
    """A text that is no condition.

    Attributes:
        faults: (the character, counted from 0, where a fault lies; what, and what to write instead). Nothing of the
            text is quoted.
    """

    def __init__(self, *faults: tuple[int, str]) -> None:
        super().__init__(faults)
        self.faults = faults


class Condition:
    """A compiled expression. Threads may share it.

    Attributes:
        text: the expression as written.
        uses: the variables that it names.
        constant: what it comes to whatever the client; None where that depends.
    """

    __slots__ = ("_expression", "constant", "text", "uses")

    def __init__(self, text: str, expression: Expression, uses: frozenset[str]) -> None:
        self.text = text
        self._expression = expression
        self.uses = uses
        self.constant = self._evaluate({})

    def __repr__(self) -> str:
        return f"Condition(uses={sorted(self.uses)})"

    def holds(self, client: Client, topic: str) -> bool | None:
        """Whether the condition holds; None if that hangs on what is not known, or cannot be found out."""
        texts = {
            "principal": client.principal,
            "clientId": client.client_id,
            "topic": topic,
            "listener": client.listener,
        }
        known: dict[str, Any] = {name: value for name, value in texts.items() if value is not None and _is_plain(value)}
        if client.claims is not None:
            known["claims"] = client.claims.values
        return self._evaluate(known)

    def _evaluate(self, known: Mapping[str, Any]) -> bool | None:
        try:
            found = self._expression.eval(data=known).value()
        except Exception:  # whatever the library raises: no answer, and so the safe side
            return None
        return found if isinstance(found, bool) else None


def read_condition(text: str) -> Condition:
    """Compiles an expression.

    Raises:
        ConditionInvalid: it is not CEL, names what is not there, mixes types, or is neither true nor false.
    """
    control = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if control is not None:
        # The library takes a text up to its first NUL.
        raise ConditionInvalid((control.start(), "a control character cannot stand in a condition; delete it"))
    try:
        expression = _environment().compile(text)
    except RuntimeError as error:
        raise ConditionInvalid(*_faults(str(error), text)) from None
    if expression.return_type().name() != "BOOL":
        raise ConditionInvalid((0, f"a condition is true or false and this is neither; compare, as in {_EXAMPLE}"))
    return Condition(text, expression, frozenset(name for name in VARIABLES if not _compiles_without(name, text)))


def _is_plain(value: str) -> bool:
    """Whether CEL sees the whole value: it would read one only up to a NUL, and cannot read half a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_plain_tree(value: object) -> bool:
    """Whether CEL sees all of a value of JSON as it is."""
    if isinstance(value, str):
        return _is_plain(value)
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(name) and _is_plain_tree(one) for name, one in value.items())
    if isinstance(value, list):
        return all(map(_is_plain_tree, value))
    return value is None or isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


@cache
def _environment(without: str | None = None) -> Env:
    # Loaded here: a ruleset without conditions does not pay the 40 ms and 6 MB.
    from cel_expr_python import cel  # noqa: PLC0415

    kinds = dict.fromkeys(VARIABLES, cel.Type.STRING) | {"claims": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}
    return cel.NewEnv(variables={name: kind for name, kind in kinds.items() if name != without})


def _compiles_without(name: str, text: str) -> bool:
    """Whether a valid expression never names a variable: it then compiles where there is none of that name."""
    try:
        _environment(without=name).compile(text)
    except RuntimeError:
        return False
    return True


def _faults(said: str, text: str) -> tuple[tuple[int, str], ...]:
    """The compiler's faults in words of our own, because its words quote the expression."""
    found = list(dict.fromkeys(_translate(said, text)))
    return tuple(found[:FAULTS_LIMIT]) or ((0, "this nests too deeply, or is no CEL; write it simpler"),)


def _translate(said: str, text: str) -> Iterator[tuple[int, str]]:
    for fault in _FAULT.finditer(said):
        line, column, what = int(fault[1]), int(fault[2]), fault[3]
        if line < 1 or "*error*" in what:
            continue
        offset = _offset(text, line, column)
        if what.startswith("Syntax error"):
            yield offset, _syntax(text, offset)
            return  # the others follow from the first
        if (undeclared := _UNDECLARED.match(what)) is not None:
            yield _undeclared(text, offset, undeclared[1])
        elif (overload := _OVERLOAD.match(what)) is not None:
            named = choices(_TEXTS)
            yield offset, f"this does not take {overload[1]}; {named} are texts, compare them with quoted texts"
        elif "operand of a select" in what:
            yield offset, f"a text has no members; write for example {_EXAMPLE}"
        else:
            yield offset, f"CEL does not take this here; write for example {_EXAMPLE}"


def _offset(text: str, line: int, column: int) -> int:
    before = sum(len(passed) + 1 for passed in text.split("\n")[: line - 1])
    return min(before + column - 1, len(text))


def _syntax(text: str, offset: int) -> str:
    rest = text[offset:]
    word = _WORD.match(rest)
    if word is not None and word[0] in _WORD_OPERATORS:
        return f"write `{_WORD_OPERATORS[word[0]]}`"
    if rest[:1] == "=":
        return "write `==`"
    if rest[:1] in {'"', "'"} and rest[1:].find(rest[0]) < 0:
        return "the quoted text never ends; close the quote"
    if not rest.strip():
        return f"the expression ends too early; write for example {_EXAMPLE}"
    return f"this is no CEL; write for example {_EXAMPLE}"


def _undeclared(text: str, offset: int, name: str) -> tuple[int, str]:
    """The place of a name that is not declared, and the nearest right one.

    The compiler places a function at its bracket, and a name with a dot at the dot.
    """
    at = text[offset : offset + 1]
    before = {"(": _BEFORE_CALL, ".": _BEFORE_DOT}.get(at)
    start = before.search(text, 0, offset) if before is not None else None
    if start is not None:
        offset = start.start()
    if at == "(":
        return offset, f"there is no such function; {suggest(name, FUNCTIONS)}"
    return offset, f"there is no such name; {suggest(name.partition('.')[0], VARIABLES)}"
