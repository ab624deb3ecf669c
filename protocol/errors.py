"""What can be wrong with bytes of the Kafka protocol, and the answer that a broker would give.

Every error carries `kafka_code`, the error code of Kafka's protocol that a client sees, or NONE where the only
answer is to close the connection. Messages name structure (an api, a version, a position, a count), never content.

Source: https://kafka.apache.org/protocol#protocol_error_codes
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """The error codes of Kafka's protocol that the proxy itself answers with."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    UNSUPPORTED_SASL_MECHANISM = 33
    ILLEGAL_SASL_STATE = 34
    UNSUPPORTED_VERSION = 35
    INVALID_REQUEST = 42
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
    POLICY_VIOLATION = 44
    SASL_AUTHENTICATION_FAILED = 58
    UNSUPPORTED_COMPRESSION_TYPE = 76
    INVALID_RECORD = 87
    UNKNOWN_TOPIC_ID = 100


class ProtocolError(Exception):
    """Bytes that the proxy does not forward."""

    kafka_code: ErrorCode = ErrorCode.NONE


class MalformedFrame(ProtocolError):
    """The size prefix or the header of a frame cannot be read; the stream has no sure place to go on."""


class FrameTooLarge(MalformedFrame):
    """The size prefix is beyond `limits.frameBytes`."""


class UnknownApi(ProtocolError):
    """An api key or version that the api table lacks, or refuses."""


class RefusedLogin(ProtocolError):
    """A SASL login that the proxy cannot follow, so that it would not know tokens from requests."""


class MalformedMessage(ProtocolError):
    """The body of a frame does not follow its schema to the last byte."""


class RecordsError(ProtocolError):
    """A records field that the proxy does not forward; answered for its partition."""

    kafka_code = ErrorCode.CORRUPT_MESSAGE


class CorruptRecords(RecordsError):
    """A CRC or compressed section that contradicts the bytes."""


class ContradictoryRecords(CorruptRecords):
    """A length or count that contradicts the bytes; brokers give producers another code for it than for a wrong CRC."""

    kafka_code = ErrorCode.INVALID_RECORD


class DecompressedTooLarge(RecordsError):
    """A section that expands beyond `limits.decompressedBytes`."""

    kafka_code = ErrorCode.MESSAGE_TOO_LARGE


class UnsupportedCodec(RecordsError):
    """A compression codec id that Kafka does not define."""

    kafka_code = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


class UnsupportedMagic(RecordsError):
    """Records of a format (magic byte) that the proxy cannot read; Kafka counts a future one as corrupt."""


class InvalidRecords(RecordsError):
    """Records that are well formed and that no broker would take from a producer."""

    kafka_code = ErrorCode.INVALID_RECORD
