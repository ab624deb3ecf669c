"""ApiVersions: what the broker offers, cut down to what the proxy knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from wiremask.protocol.api import API_VERSIONS, APIS, PRODUCE, Api, Mode
from wiremask.protocol.encode import INT16, encode
from wiremask.protocol.errors import ErrorCode, MalformedMessage
from wiremask.protocol.features import highest_level
from wiremask.protocol.fields import Int16, Int32, Many, OptionalText, Text, put_elements
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from wiremask.protocol.splice import Edits
    from wiremask.protocol.walk import Elements


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


def _with(element: Element, *numbers: tuple[Int16, int]) -> bytes:
    """An element with other numbers; the rest of its bytes stay."""
    changed = bytearray(element.body)
    start, _ = element.span
    for field, number in numbers:
        INT16.pack_into(changed, field.start(element) - start, number)
    return bytes(changed)


class SupportedFeature(Element):
    """The levels of a feature that the broker knows."""

    name = Text("Name")
    first = Int16("MinVersion")
    last = Int16("MaxVersion")

    def lowered(self, level: int) -> list[Buffer]:
        """The feature with another last level; nothing if the broker knows none so low."""
        if level < self.first:
            return []
        return [_with(self, (SupportedFeature.last, level))]


class FinalizedFeature(Element):
    """The levels of a feature that the cluster runs at; the last is what counts."""

    name = Text("Name")
    first = Int16("MinVersionLevel")
    last = Int16("MaxVersionLevel")

    def lowered(self, level: int) -> list[Buffer]:
        """The feature at another level."""
        return [_with(self, (FinalizedFeature.first, min(self.first, level)), (FinalizedFeature.last, level))]


F = TypeVar("F", SupportedFeature, FinalizedFeature)


class ApiVersionsResponse(Message):
    """The broker's offer; tagged fields that are not known are passed on as they are."""

    error_code = Int16("ErrorCode")
    apis = Many("ApiKeys", OfferedApi)
    supported = Many("SupportedFeatures", SupportedFeature)
    finalized = Many("FinalizedFeatures", FinalizedFeature)

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
        (KAFKA-18659). Requests below the table's range are refused when they come. Features go with the apis that
        they need (protocol/features.py).
        """
        last_offered: dict[int, int] = {}
        last_kept: dict[int, int] = {}
        kept: list[Buffer] = []
        for offered in self.apis:
            last_offered[offered.key] = offered.last
            api = apis.get(offered.key)
            if api is None or api.mode is Mode.REFUSE:
                continue
            first, last = max(offered.first, api.first), min(offered.last, api.last)
            if first > last:
                continue
            last_kept[offered.key] = last
            if (first, last) == (offered.first, offered.last):
                kept.append(offered.body)
                continue
            if api.key == PRODUCE:
                first = offered.first
            tags = offered.body[3 * INT16.size :]
            kept.append(INT16.pack(offered.key) + INT16.pack(first) + INT16.pack(last) + tags)
        if not self.apis.is_null:
            put_elements(edits, self.apis, kept)
        _lower(edits, self.supported, last_offered, last_kept)
        _lower(edits, self.finalized, last_offered, last_kept)


def _lower(edits: Edits, features: Elements[F], offered: Mapping[int, int], kept: Mapping[int, int]) -> None:
    """Tell of no feature beyond the level of which all apis are left."""
    told: list[Buffer] = []
    is_lowered = False
    for feature in features:
        level = highest_level(feature.name, offered, kept)
        if feature.last <= level and level > 0:
            told.append(feature.body)
            continue
        is_lowered = True
        if level > 0:
            told += feature.lowered(level)
    if is_lowered:
        put_elements(edits, features, told)


def make_unsupported_version() -> bytes:
    """The body that answers an ApiVersions request beyond the table: version 0, with the range that is known.

    Source: KIP-511; ApiVersionsRequest.getErrorResponse in Kafka 4.3.
    """
    api = APIS[API_VERSIONS]
    offer = {"ApiKey": api.key, "MinVersion": api.first, "MaxVersion": api.last}
    return encode("ApiVersionsResponse", 0, {"ErrorCode": ErrorCode.UNSUPPORTED_VERSION, "ApiKeys": [offer]})
