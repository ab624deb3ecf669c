"""SASL: enough of it to know when a connection's login is complete."""

from __future__ import annotations

from wiremask.protocol.fields import Bytes, Int16, Text
from wiremask.protocol.view import Message


class SaslHandshakeRequest(Message):
    """The client's choice of a mechanism.

    After version 0, bare tokens follow in frames that have no header; after version 1, SaslAuthenticate requests
    (KIP-152).
    """

    mechanism = Text("Mechanism")


class SaslHandshakeResponse(Message):
    """Whether the broker takes the mechanism."""

    error_code = Int16("ErrorCode")


class SaslAuthenticateRequest(Message):
    """A token of the client: secret, so it is looked at where it stands (protocol/sasl.py) and never copied."""

    token = Bytes("AuthBytes")


class SaslAuthenticateResponse(Message):
    """The broker's answer to a token; on an error there is none."""

    error_code = Int16("ErrorCode")
    token = Bytes("AuthBytes")
