# cython: language_level=3, annotation_typing=False, nonecheck=True
"""The quick way of a small frame that a rule masks: find the records, mask them, write the frame again around them.

`shortcut` passes on what needs nothing; here are its neighbours, a Produce request and a Fetch response of topics whose
names are known, with nothing to refuse. `protocol.refill` finds their records in one strict walk, `masking` masks them,
and what comes out is what `pipeline` would have written. At the first doubt, an unknown id, an address, a record that a
rule does not let pass, a batch too heavy for the event loop, nothing has been told to anybody yet, and the frame takes
the long way from its beginning.

What was chosen holds for one ruleset, one client id and one state of the login; with any of them it is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.messages.skims import refill_fetch_response, refill_produce_request
from wiremask.proxy import metrics
from wiremask.proxy.masking import LIGHT, TooHeavy, Work, mask_fetched, mask_produced
from wiremask.proxy.session import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.protocol.refill import RecordsField, Refill
    from wiremask.proxy.masking import Allowance
    from wiremask.proxy.session import Pieces
    from wiremask.proxy.standing import Standing
    from wiremask.rules import Plan, TopicPlan

_PRODUCE_KEY: Final = apis.PRODUCE.to_bytes(2, "big")


class QuickWay:
    """What of one connection is masked without the long way.

    Args:
        may: what masking a frame may take.
        limit_bytes: frames of this size or more take the long way, which may use another thread; light ones from eight
            times this size on.
    """

    def __init__(self, standing: Standing, *, may: Allowance, limit_bytes: int) -> None:
        self._standing = standing
        self._session = standing.session
        self._may = may
        self._limit_bytes = limit_bytes
        self._light_bytes = limit_bytes * LIGHT
        self._requests: dict[int, Refill] = {}
        self._responses: dict[int, Refill] = {}
        for remembered in (self._requests, self._responses):
            standing.remember(remembered)

    def request(self, frame: bytes | bytearray) -> Pieces | None:
        """A masked Produce as it goes to the broker, its exchange begun; None if it takes the long way."""
        if frame[:2] != _PRODUCE_KEY or len(frame) >= self._light_bytes:
            return None
        plan = self._standing.renew()
        if not self._standing.is_open or not plan.acts_at("produce"):
            return None
        version = int.from_bytes(frame[2:4], "big")
        refill = self._requests.get(version) or self._learn(frame, plan)
        if refill is None:
            return None
        fields = refill.find(frame, self._standing.choices("produce", plan))
        if fields is None:
            self._standing.notice_client()
            return None
        if self._is_heavy(frame, fields):
            return None
        work = Work(self._may)
        filled = _fill(frame, fields, mask_produced, work)
        if filled is None:
            return None
        pieces = refill.fill(frame, fields, filled)
        work.tell()
        if refill.number:
            exchange = Exchange(apis.APIS[apis.PRODUCE], version, refill.correlation_id, self._standing.client_id)
            exchange.grown_bytes = refill.grown_bytes
            self._session.sent(exchange)
            self._session.hold_if_full()
        metrics.requests.counts["Produce"] += 1
        return pieces

    def response(self, frame: bytes | bytearray) -> Pieces | None:
        """A masked Fetch response as it goes to the client, its exchange over; None if it takes the long way."""
        session = self._session
        exchange = session.next_to_leave()
        if exchange is None or exchange.api.key != apis.FETCH or len(frame) >= self._light_bytes:
            return None
        plan = self._standing.renew()
        if not plan.acts_at("fetch") or not self._standing.is_of(exchange.client_id, plan):
            return None
        refill = self._responses.get(exchange.version)
        if refill is None:
            refill = self._responses[exchange.version] = refill_fetch_response(exchange.api, exchange.version)
        fields = refill.find(frame, self._standing.choices("fetch", plan))
        if fields is None or refill.correlation_id != exchange.correlation_id:
            return None
        if self._is_heavy(frame, fields):
            return None
        work = Work(self._may)
        filled = _fill(frame, fields, mask_fetched, work)
        if filled is None:
            return None
        pieces = refill.fill(frame, fields, filled)
        grown_bytes = refill.grown_bytes
        if grown_bytes > 0 and exchange.max_bytes is not None and len(frame) + grown_bytes > exchange.max_bytes:
            return None  # whole batches may have to be left out
        work.tell()
        session.left(exchange)
        return pieces

    def _is_heavy(self, frame: bytes | bytearray, fields: list[RecordsField]) -> bool:
        """Whether masking it would keep other connections waiting."""
        return len(frame) >= self._limit_bytes and not all(field.choice.is_light for field in fields)

    def _learn(self, frame: bytes | bytearray, plan: Plan) -> Refill | None:
        """Reads a first request of its version; None where it takes the long way."""
        known = self._standing.read_head(memoryview(frame), plan)
        if known is None:
            return None
        header, head = known
        refill = self._requests[header.version] = refill_produce_request(header.version, head)
        return refill


def _fill(
    frame: bytes | bytearray,
    fields: list[RecordsField],
    mask: Callable[[memoryview, TopicPlan, Work], Pieces | None],
    work: Work,
) -> list[Pieces | None] | None:
    """The masked content of each field, None where it stays; None if one of them must take the long way."""
    view = memoryview(frame)
    try:
        return [mask(view[field.start : field.stop], field.choice, work) for field in fields]
    except (ProtocolError, TooHeavy):
        return None
