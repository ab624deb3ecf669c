"""Conditions: what they come to, known and unknown, and that unknown never decides what a value could decide otherwise."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.model.condition import NOBODY, Client, Condition, ConditionInvalid, read_condition

ALICE = Client(principal="User:alice", client_id="app", listener="default")
STRANGER = Client(principal=None, client_id="app", listener="default")
SHY = Client(principal="User:alice", client_id=None, listener="default")

HOLDS: dict[str, tuple[bool | None, bool | None, bool | None]] = {
    # for alice, for a stranger (no principal), for a shy client (no client id)
    'principal == "User:alice"': (True, None, True),
    'principal != "User:alice"': (False, None, False),
    'principal in ["User:bob", "User:alice"]': (True, None, True),
    'principal.startsWith("User:")': (True, None, True),
    'principal.matches("^User:(alice|bob)$")': (True, None, True),
    'clientId == "app"': (True, True, None),
    'principal == "User:alice" && clientId == "app"': (True, None, None),
    'principal == "User:bob" || clientId == "app"': (True, True, None),
    'principal == "User:alice" || clientId == "app"': (True, True, True),
    'principal == "User:bob" && clientId == "app"': (False, None, False),
    'clientId == "app" || principal == "User:bob"': (True, True, None),
    'true || principal == "User:bob"': (True, True, True),
    'principal == "User:bob" || true': (True, True, True),
    'principal == "User:bob" && false': (False, False, False),
    '!(principal == "User:bob" && false)': (True, True, True),
    '!(principal == "User:bob")': (True, None, True),
    'topic == "payments"': (True, True, True),
    'topic == "payments" ? true : principal == "User:bob"': (True, True, True),
    'principal == "User:bob" ? true : true': (True, None, True),
    "principal == principal": (True, None, True),
    'principal == "User:bob" || principal != "User:bob"': (True, None, True),
    'listener == "default"': (True, True, True),
    '["payments", "x"].exists(name, name == topic || name == principal)': (True, True, True),
    '["User:alice", "x"].exists(name, name == principal)': (True, None, True),
    '["x"].all(principal, principal == "x")': (True, True, True),
    "size(principal) > 3": (True, None, True),
    "int(topic) == 1": (None, None, None),
    'int(topic) == 1 || clientId == "app"': (True, True, None),
    'principal.matches("(")': (None, None, None),
    'timestamp(clientId) > timestamp("2026-01-01T00:00:00Z")': (None, None, None),
}


@pytest.mark.parametrize(("text", "expected"), HOLDS.items(), ids=HOLDS)
def test_comes_to(text: str, expected: tuple[bool | None, ...]) -> None:
    condition = read_condition(text)

    assert tuple(condition.holds(client, "payments") for client in (ALICE, STRANGER, SHY)) == expected


@pytest.mark.parametrize(
    "value",
    ["User:alice\0", "User:alice\0b", "\0", "\ud800", "User:alice\udcff"],
    ids=["NUL last", "NUL within", "NUL alone", "half a surrogate pair", "byte escape"],
)
@pytest.mark.parametrize("name", ["principal", "clientId", "topic", "listener"])
def test_a_value_that_cel_would_not_see_whole_is_not_known(name: str, value: str) -> None:
    condition = read_condition(f'{name} == "User:alice"')
    client = Client(
        principal=value if name == "principal" else "x",
        client_id=value if name == "clientId" else "x",
        listener=value if name == "listener" else "x",
    )

    assert condition.holds(client, value if name == "topic" else "x") is None


@pytest.mark.parametrize("value", ["", " ", "User:é😀", "User:" + "a" * 100_000, "User:a\nb", 'User:"', "User:\\"])
def test_compares_whole_values(value: str) -> None:
    condition = read_condition("principal == clientId")

    assert condition.holds(Client(principal=value, client_id=value), "t") is True
    assert condition.holds(Client(principal=value, client_id=value + "x"), "t") is False


def test_an_expression_of_a_client_s_own_is_harmless() -> None:
    condition = read_condition("principal.matches(clientId)")

    found = [
        condition.holds(Client(principal="a" * 200, client_id=pattern), "t")
        for pattern in ("(a*)*b", "(", "((((((((((((((((((((a{9}){9}){9}){9}){9}", "a" * 30_000, "")
    ]

    assert found == [False, None, None, False, True]


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ('principal == "clientId"', {"principal"}),
        ('["a"].exists(clientId, clientId == topic)', {"topic"}),
        ("true", set()),
        ('clientId == principal || listener != topic || topic == ""', {"principal", "clientId", "topic", "listener"}),
        ('true || clientId == "a"', {"clientId"}),
    ],
    ids=["in quotes", "a name of its own", "none", "all", "of no effect"],
)
def test_knows_the_names_that_it_uses(text: str, uses: set[str]) -> None:
    assert read_condition(text).uses == uses


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("true", True),
        ('false && principal == "a"', False),
        ('principal == "a"', None),
        ('"1" == "2"', False),
        ("1/0 == 1", None),
    ],
)
def test_knows_what_it_comes_to_for_every_client(text: str, constant: bool | None) -> None:
    assert read_condition(text).constant is constant


@pytest.mark.parametrize("text", ["true\0", 'principal == "\0"', "true\x7f", "true // \r && false"])
def test_refuses_control_characters_which_would_end_the_text(text: str) -> None:
    with pytest.raises(ConditionInvalid, match="control character"):
        read_condition(text)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_reads_or_refuses_any_text_and_places_faults_in_it(text: str) -> None:
    faults: tuple[tuple[int, str], ...] = ()
    try:
        read_condition(text)
    except ConditionInvalid as error:
        faults = error.faults or ((-1, "refused for no reason"),)

    assert all(0 <= offset <= len(text) and message for offset, message in faults)


ATOMS = ('principal == "p"', 'clientId == "c"', 'topic == "t"', "true", "false")
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["&&", "||", "==", "!="]), part).map(lambda parts: f"({' '.join(parts)})"),
        part.map(lambda inner: f"!({inner})"),
        st.tuples(part, part, part).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        part.map(lambda inner: f'["c", "p"].exists(x, x == clientId || {inner})'),
        part.map(lambda inner: f'["t"].all(x, x == topic && {inner})'),
    ),
    max_leaves=7,
)


@given(EXPRESSIONS)
@settings(max_examples=250, deadline=None)
def test_what_is_decided_without_a_value_is_decided_so_with_every_value(text: str) -> None:
    try:
        condition = read_condition(text)
    except ConditionInvalid:
        return  # nested beyond what CEL takes
    for client, topic in itertools.product((Client(client_id="c"), Client(principal="p"), NOBODY), ("t", "u")):
        found = condition.holds(client, topic)
        completed = {
            condition.holds(
                Client(principal=client.principal or principal, client_id=client.client_id or client_id), topic
            )
            for principal in ("p", "q")
            for client_id in ("c", "d")
        }

        assert None not in completed
        assert found is None or completed == {found}


def test_threads_share_a_condition() -> None:
    condition = read_condition('principal == "a" || topic == "b"')

    def holds(number: int) -> bool:
        client = Client(principal="a" if number % 2 else "b")
        return condition.holds(client, "b" if number % 3 == 0 else "c") is (number % 2 == 1 or number % 3 == 0)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(holds, range(4000)))


def test_repr_tells_names_alone() -> None:
    assert repr(read_condition('principal == "secret"')) == "Condition(uses=['principal'])"
    assert isinstance(read_condition("true"), Condition)


def test_cel_is_loaded_by_rulesets_with_a_condition_alone() -> None:
    code = (
        "import sys\n"
        "from wiremask.rules import compile_ruleset\n"
        "text = 'apiVersion: wiremask.dev/v1\\nkind: RuleSet\\nmetadata: {name: t}\\nrules:\\n'\n"
        "rule = '  - {name: r, topics: [t], at: [fetch], %s value: {fields: [{path: $.a, mask: redact}]}}\\n'\n"
        "compile_ruleset({'r': text + rule % ''}, lambda _: '')\n"
        "before = 'cel_expr_python' in sys.modules\n"
        "compile_ruleset({'r': text + rule % 'when: {client: \"true\"},'}, lambda _: '')\n"
        "print(before, 'cel_expr_python' in sys.modules)\n"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["False", "True"]
    assert said.stderr == ""
