"""ApiVersions: what the broker offers, cut down to what the proxy knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from wiremask.protocol.api import API_VERSIONS, APIS, PRODUCE, Api, Mode
from wiremask.protocol.encode import INT16, encode
from wiremask.protocol.errors import ErrorCode, MalformedMessage
from wiremask.protocol.fields import Int16, Int32, Many, OptionalText, put_elements
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from wiremask.protocol.splice import Edits


class ApiVersionsRequest(Message):
    """The client's first request: its software from version 3 on (KIP-511), whom it wants from 5 on (KIP-1242)."""

    software_name = OptionalText("ClientSoftwareName")
    software_version = OptionalText("ClientSoftwareVersion")
    cluster_id = OptionalText("ClusterId")
    node_id = Int32("NodeId")


class OfferedApi(Element):
    """The versions of one api that the broker offers."""

    key = Int16("ApiKey")
    first = Int16("MinVersion")
    last = Int16("MaxVersion")


class ApiVersionsResponse(Message):
    """The broker's offer. Features, and tagged fields of any kind, are passed on as they are."""

    error_code = Int16("ErrorCode")
    apis = Many("ApiKeys", OfferedApi)

    @classmethod
    def read(cls, body: Buffer, version: int) -> Self:
        """Walk a body. One with an error may be in the layout of version 0, whatever was asked for.

        A broker answers a version that it does not know with UNSUPPORTED_VERSION in version 0 (KIP-511), and every
        other error in the version of the request; some servers answer all errors in version 0, so that is tried second.

        Raises:
            MalformedMessage: the bytes do not follow the schema.
            UnknownApi: the schema has no such version.
        """
        view = memoryview(body)
        code = INT16.unpack_from(view)[0] if len(view) >= INT16.size else 0
        if code == ErrorCode.UNSUPPORTED_VERSION:
            return super().read(view, 0)
        try:
            return super().read(view, version)
        except MalformedMessage:
            if code == 0 or version == 0:
                raise
            return super().read(view, 0)

    def keep(self, edits: Edits, apis: Mapping[int, Api] = APIS) -> None:
        """Leave out what the proxy does not serve, and narrow the versions of the rest to those it knows.

        Produce keeps the broker's first version: librdkafka before 2.x switches compression off when it is above 0
        (KAFKA-18659). Requests below the table's range are refused when they come.
        """
        kept: list[Buffer] = []
        for offered in self.apis:
            api = apis.get(offered.key)
            if api is None or api.mode is Mode.REFUSE:
                continue
            first, last = max(offered.first, api.first), min(offered.last, api.last)
            if first > last:
                continue
            if (first, last) == (offered.first, offered.last):
                kept.append(offered.body)
                continue
            if api.key == PRODUCE:
                first = offered.first
            tags = offered.body[3 * INT16.size :]
            kept.append(INT16.pack(offered.key) + INT16.pack(first) + INT16.pack(last) + tags)
        if not self.apis.is_null:
            put_elements(edits, self.apis, kept)


def make_unsupported_version() -> bytes:
    """The body that answers an ApiVersions request beyond the table: version 0, with the range that is known.

    Source: KIP-511; ApiVersionsRequest.getErrorResponse in Kafka 4.3.
    """
    api = APIS[API_VERSIONS]
    offer = {"ApiKey": api.key, "MinVersion": api.first, "MaxVersion": api.last}
    return encode("ApiVersionsResponse", 0, {"ErrorCode": ErrorCode.UNSUPPORTED_VERSION, "ApiKeys": [offer]})
