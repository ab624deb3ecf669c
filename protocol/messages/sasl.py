"""SASL: enough of it to know when a connection's login is complete."""

from __future__ import annotations

from wiremask.protocol.fields import Int16, Text
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


class SaslAuthenticateResponse(Message):
    """One step of a login; the tokens are not shown."""

    error_code = Int16("ErrorCode")
