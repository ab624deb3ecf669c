"""Logins as they pass by: their end, to the token, and the name that brokers make a principal of."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.net.sasl.oauth import AbstractTokenProvider, SaslMechanismOAuth
from kafka.net.sasl.plain import SaslMechanismPlain
from kafka.net.sasl.scram import SaslMechanismScram

from support.kafka_oracle import oracle
from wiremask.protocol.errors import MalformedFrame, RefusedLogin
from wiremask.protocol.messages.sasl import SaslAuthenticateRequest, SaslAuthenticateResponse
from wiremask.protocol.sasl import TOKEN_BYTES, Login

both_handshakes = pytest.mark.parametrize("handshake", [0, 1])
scrams = pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
quick = settings(max_examples=300, deadline=None)

SERVER_FIRST = b"r=noncenonce,s=c2FsdA==,i=4096"
SERVER_FINAL = b"v=c2lnbmF0dXJl"


def encode64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims: str | dict[str, Any], *, signature: str = "c2ln") -> str:
    text = claims if isinstance(claims, str) else json.dumps(claims)
    return f"{encode64(b'{}')}.{encode64(text.encode())}.{signature}"


def bearer(token: str, *, head: str = "n,,") -> bytes:
    return f"{head}\x01auth=Bearer {token}\x01\x01".encode()


def let_in(mechanism: str, *tokens: bytes, answers: tuple[bytes, ...] = (b"",), **options: Any) -> Login:
    login = Login(mechanism, 1, **options)
    for token, answer in zip(tokens, answers, strict=True):
        login.client_token(token)
        login.server_token(answer)
    return login


def scram(first: bytes) -> Login:
    return let_in("SCRAM-SHA-256", first, b"c=biws,r=nonce,p=cHJvb2Y=", answers=(SERVER_FIRST, SERVER_FINAL))


@both_handshakes
def test_plain_is_one_token_each_way_and_named_once_it_is_answered(handshake: int) -> None:
    login = Login("PLAIN", handshake)
    seen = [(login.awaits_server, login.is_complete, login.principal)]

    login.client_token(b"\0alice\0secret")
    seen.append((login.awaits_server, login.is_complete, login.principal))
    login.server_token(b"")
    seen.append((login.awaits_server, login.is_complete, login.principal))

    assert seen == [(False, False, None), (True, False, None), (False, True, "alice")]
    assert not login.expects_bare_token


@both_handshakes
@scrams
def test_scram_is_two_tokens_each_way(handshake: int, mechanism: str) -> None:
    login = Login(mechanism, handshake)

    bare = [login.expects_bare_token]
    for token, answer in ((b"n,,n=alice,r=nonce", SERVER_FIRST), (b"c=biws,r=nonce,p=cHJvb2Y=", SERVER_FINAL)):
        login.client_token(token)
        bare.append(login.expects_bare_token)
        assert login.principal is None
        login.server_token(answer)
        bare.append(login.expects_bare_token)

    assert bare == [not handshake, False, not handshake, False, False]
    assert (login.is_complete, login.principal) == (True, "alice")


@both_handshakes
@pytest.mark.parametrize("answers", [(b"e=unknown-user",), (SERVER_FIRST, b"e=invalid-proof"), (b"",)], ids=str)
def test_a_scram_server_that_says_no_lets_nobody_in(handshake: int, answers: tuple[bytes, ...]) -> None:
    login = Login("SCRAM-SHA-256", handshake)

    for token, answer in zip((b"n,,n=alice,r=nonce", b"c=biws,r=nonce,p=cHJvb2Y="), answers, strict=False):
        login.client_token(token)
        login.server_token(answer)

    assert not login.is_complete
    assert login.principal is None
    assert not login.expects_bare_token


@both_handshakes
def test_oauthbearer_is_one_token_each_way(handshake: int) -> None:
    login = Login("OAUTHBEARER", handshake)

    login.client_token(bearer(jwt({"sub": "alice"})))
    login.server_token(b"")

    assert (login.is_complete, login.principal, login.expects_bare_token) == (True, "alice", False)


@both_handshakes
def test_a_refused_oauthbearer_token_is_followed_by_one_more_and_nobody_is_let_in(handshake: int) -> None:
    login = Login("OAUTHBEARER", handshake)

    login.client_token(bearer(jwt({"sub": "alice"})))
    login.server_token(b'{"status":"invalid_token"}')
    told = (login.is_complete, login.principal, login.expects_bare_token)
    login.client_token(b"\x01")
    login.server_token(b"")

    assert told == (False, None, not handshake)
    assert (login.is_complete, login.principal, login.expects_bare_token) == (False, None, False)


@pytest.mark.parametrize("mechanism", ["GSSAPI", "plain", "SCRAM-SHA-1", "EXTERNAL", ""])
def test_bare_tokens_are_refused_where_their_number_is_not_known(mechanism: str) -> None:
    with pytest.raises(RefusedLogin, match="SaslHandshake 1"):
        Login(mechanism, 0)


def test_an_opaque_mechanism_may_be_complete_after_any_answer_and_has_no_name() -> None:
    login = Login("GSSAPI", 1)

    for _ in range(5):
        login.client_token(b"\x60ticket")
        assert not login.is_complete
        login.server_token(b"\x60ticket")

        assert (login.is_complete, login.principal) == (True, None)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_bare_tokens_out_of_turn_are_refused(mechanism: str) -> None:
    ahead, unasked, beyond = (Login(mechanism, 0) for _ in range(3))
    ahead.client_token(b"first")
    beyond.client_token(b"first")
    beyond.server_token(b"e=")
    if beyond.expects_bare_token:
        beyond.client_token(b"\x01")
        beyond.server_token(b"")

    with pytest.raises(MalformedFrame):
        ahead.client_token(b"second")
    with pytest.raises(MalformedFrame):
        unasked.server_token(b"")
    with pytest.raises(MalformedFrame):
        beyond.client_token(b"more")


def test_a_second_token_that_does_not_wait_for_the_answer_leaves_the_name_unknown() -> None:
    login = Login("PLAIN", 1)

    login.client_token(b"\0alice\0secret")
    login.client_token(b"\0mallory\0guess")
    login.server_token(b"")
    login.server_token(b"")

    assert (login.is_complete, login.principal) == (True, None)


def test_a_token_after_the_end_changes_nobody() -> None:
    login = let_in("PLAIN", b"\0alice\0secret")

    login.client_token(b"\0mallory\0guess")

    assert (login.is_complete, login.principal) == (True, "alice")


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (b"\0alice\0secret", "alice"),
        (b"alice\0alice\0secret", "alice"),
        ("\0zoë\0secret".encode(), "zoë"),
        (b"\0a,b=c\0secret", "a,b=c"),
        (b"bob\0alice\0secret", None),
        (b"\0\0secret", None),
        (b"\0alice", None),
        (b"\0alice\0secret\0more", None),
        (b"\0al\xffice\0secret", None),
        (b"", None),
        (b"\0alice\0" + b"x" * TOKEN_BYTES, None),
    ],
    ids=lambda case: repr(case)[:30],
)
def test_plain_names_its_authcid(token: bytes, name: str | None) -> None:
    login = let_in("PLAIN", token)

    assert (login.is_complete, login.principal) == (True, name)


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"n,,n=alice,r=nonce", "alice"),
        (b"n,a=alice,n=alice,r=nonce", "alice"),
        (b"n,a=bob,n=alice,r=nonce", None),
        (b"n,,n=a=2Cb=3Dc,r=nonce", "a,b=c"),
        (b"n,,n=a=3D2Cb,r=nonce", "a=2Cb"),
        (b"n,,n=a=2cb,r=nonce", None),
        (b"n,,n=a=b,r=nonce", None),
        (b"n,,m=later,n=alice,r=nonce", "alice"),
        (b"n,,n=alice,r=nonce,other=1", "alice"),
        (b"n,,n=token-id,r=nonce,tokenauth=true", None),
        (b"n,,n=token-id,r=nonce,other=1,TokenAuth=false", None),
        (b"n,,n=,r=nonce", None),
        (b"n,,n=alice", None),
        (b"n,,n=alice,r=", None),
        (b"y,,n=alice,r=nonce", None),
        (b"p=tls-unique,,n=alice,r=nonce", None),
        (b"n,,n=alice,r=nonce\n", None),
        (b"n,,n=al\xffice,r=nonce", None),
        (b"", None),
    ],
    ids=repr,
)
def test_scram_names_its_user_and_a_delegation_token_nobody(first: bytes, name: str | None) -> None:
    login = scram(first)

    assert (login.is_complete, login.principal) == (True, name)


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (bearer(jwt({"sub": "alice", "exp": 1, "nested": {"sub": "bob"}})), "alice"),
        (bearer(jwt({"sub": "alice"}, signature="")), "alice"),
        (bearer(jwt({"sub": "alice"}), head="n,a=alice,"), "alice"),
        (bearer(jwt({"sub": "alice"}), head="n,a=bob,"), None),
        (b"n,,\x01auth=bearer  " + jwt({"sub": "alice"}).encode() + b"\x01ext=1\x01\x01", "alice"),
        (b"n,,\x01ext=1\x01auth=Bearer " + jwt({"sub": "zo\u00eb"}).encode() + b"\x01\x01", "zoë"),
        (b"n,,\x01auth=Bearer a.b.c\x01auth=Bearer " + jwt({"sub": "alice"}).encode() + b"\x01\x01", None),
        (bearer(jwt('{"sub": "alice", "sub": "bob"}')), None),
        (bearer(jwt('{"sub": "alice", "s\\u0075b": "bob"}')), None),
        (bearer(jwt({"sub": 7})), None),
        (bearer(jwt({"sub": ""})), None),
        (bearer(jwt({"sub": " alice"})), None),
        (bearer(jwt('{"sub": "\\ud800"}')), None),
        (bearer(jwt({"other": "alice"})), None),
        (bearer(jwt('["sub"]')), None),
        (bearer(jwt("[" * 20_000)), None),
        (bearer(jwt("not json")), None),
        (bearer(f"e30.{encode64(json.dumps({'sub': 'alice'}).encode('utf-16'))}.c2ln"), None),
        (bearer("e30.a.c2ln"), None),
        (bearer("opaque-token"), None),
        (bearer("a.b.c.d.e"), None),
        (bearer("a.b=.c"), None),
        (b"n,,\x01auth=Basic " + jwt({"sub": "alice"}).encode() + b"\x01\x01", None),
        (bearer(jwt({"sub": "alice"}))[:-1], None),
        (b"n,,\x01\x01", None),
        (b"", None),
    ],
)
def test_oauthbearer_names_the_subject_of_a_jwt_and_nobody_in_doubt(token: bytes, name: str | None) -> None:
    login = let_in("OAUTHBEARER", token)

    assert (login.is_complete, login.principal) == (True, name)


def test_another_claim_can_be_the_name() -> None:
    token = bearer(jwt({"sub": "service-account-7", "preferred_username": "alice"}))

    login = let_in("OAUTHBEARER", token, principal_claim="preferred_username")

    assert login.principal == "alice"


class _Provider(AbstractTokenProvider):
    def token(self) -> str:
        return jwt({"sub": "alice"})

    def extensions(self) -> dict[str, str]:
        return {"logicalCluster": "lkc-1"}


def test_reads_the_tokens_that_a_client_makes() -> None:
    plain = SaslMechanismPlain(sasl_plain_username="alice", sasl_plain_password="secret")
    scram_client = SaslMechanismScram(
        sasl_mechanism="SCRAM-SHA-512", sasl_plain_username="alice", sasl_plain_password="s"
    )
    oauth = SaslMechanismOAuth(sasl_oauth_token_provider=_Provider())

    named = [
        let_in("PLAIN", plain.auth_bytes()).principal,
        scram(scram_client.auth_bytes()).principal,
        let_in("OAUTHBEARER", oauth.auth_bytes()).principal,
    ]

    assert named == ["alice", "alice", "alice"]


@given(
    mechanism=st.sampled_from(["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "GSSAPI"]),
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.binary(max_size=60)
            | st.sampled_from([b"", b"r=", b"v=", b"n,,n=a,r=b", b"\0a\0b", bearer(jwt({"sub": "a"}))]),
        ),
        max_size=8,
    ),
)
@quick
def test_hostile_tokens_never_break_it_and_never_name_before_the_end(
    mechanism: str, steps: list[tuple[bool, bytes]]
) -> None:
    login = Login(mechanism, 1)

    for from_client, token in steps:
        (login.client_token if from_client else login.server_token)(token)

        assert login.principal is None or login.is_complete
        assert not (login.awaits_server and login.is_complete)


@given(
    text=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
)
@quick
def test_any_name_of_plain_is_read_as_it_is(text: str) -> None:
    login = let_in("PLAIN", f"\0{text}\0secret".encode())

    assert login.principal == text


def test_keeps_nothing_secret() -> None:
    login = Login("PLAIN", 1)
    login.client_token(memoryview(b"\0alice\0canary-password"))

    kept = [repr(getattr(login, name)) for name in vars(login)]

    assert "canary" not in repr(login) + str(kept)
    assert "alice" not in repr(login)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_tokens_stand_in_the_messages_that_carry_them(version: int) -> None:
    values = {"error_code": 0, "error_message": None, "auth_bytes": b"back", "session_lifetime_ms": 0}
    request = oracle("SaslAuthenticateRequest").encode({"auth_bytes": b"out"}, version)
    response = oracle("SaslAuthenticateResponse").encode(values, version)

    assert SaslAuthenticateRequest.read(request, version).token == b"out"
    assert SaslAuthenticateResponse.read(response, version).token == b"back"
