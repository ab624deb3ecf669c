# cython: language_level=3, annotation_typing=False, nonecheck=True
"""The short way of a frame: what needs nothing goes on as it lies in the read buffer.

Most frames are of topics that no rule touches. `protocol.skim` walks such a Produce or Fetch where it lies, strictly,
and asks here about each topic once. Yes means that the pipeline would have forwarded the same bytes. All else, a topic
with a rule, an unknown id, an address, a fault, a login, takes the long way through `pipeline`, which alone masks,
looks up and refuses.

A Produce request or a Fetch response too large for the read buffer, of one partition, goes on while it arrives
(`request_streams`, `response_streams`). What is behind its records is held back until all of it has been walked and the
rules are still those that it began under, or as good (`close_request`, `close_response`). If not, both sides are
closed: nobody ever had the whole frame, so to them there was none.

What was decided holds for one ruleset, one client id and one state of the login; with any of them it is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol import api as apis
from wiremask.protocol.choices import Choices
from wiremask.protocol.errors import MalformedFrame, ProtocolError
from wiremask.protocol.messages.skims import (
    skim_fetch_request,
    skim_fetch_response,
    skim_produce_request,
    skim_produce_response,
)
from wiremask.protocol.skim import Passage, Skim, kind_at
from wiremask.proxy import metrics
from wiremask.proxy.session import Exchange

if TYPE_CHECKING:
    from wiremask.proxy.standing import Standing
    from wiremask.rules import Direction, Plan

_KINDS: Final = frozenset(
    api.key << 16 | version
    for api in (apis.APIS[apis.PRODUCE], apis.APIS[apis.FETCH])
    for version in range(api.first, api.last + 1)
)


class _Way:
    """How requests of one api and version are skimmed, and what their exchanges have in common."""

    def __init__(self, api: apis.Api, version: int, client_id: str | None, skim: Skim, choices: Choices | None) -> None:
        self.api = api
        self.version = version
        self.client_id = client_id
        self.skim = skim
        self.choices = choices
        self.is_fetch = api.key == apis.FETCH


class RulesChanged(ProtocolError):
    """A frame had begun to go on under rules that are not those of its last byte."""


class Shortcut:
    """What of one connection may take the short way.

    Attributes:
        is_over: nothing may any more; the connection has ended.
    """

    def __init__(self, standing: Standing, *, fetch_bytes: int) -> None:
        self.is_over = False
        self._standing = standing
        self._session = standing.session
        self._fetch_bytes = fetch_bytes
        self._streamed_by: dict[Direction, tuple[Plan, str | None]] = {}  # what let a passage begin: rules, client id
        self._named = Choices(self._is_named)
        self._requests: dict[int, _Way] = {}
        self._responses: dict[int, tuple[Skim, Choices | None]] = {}
        for remembered in (self._requests, self._responses):
            standing.remember(remembered)

    def request(self, buffer: bytearray, start: int, stop: int) -> bool:
        """Whether the request goes on as it is; its exchange has begun then."""
        plan = self._standing.renew()
        if not self._standing.is_open or self.is_over:
            return False
        kind = kind_at(buffer, start, stop)
        way = self._requests.get(kind) or self._learn(kind, buffer, start, stop, plan)
        if way is None:
            return False
        skim = way.skim
        if not skim.passes(buffer, start, stop, way.choices):
            self._standing.notice_client()
            return False
        self._begin(way)
        self._session.hold_if_full()
        return True

    def request_streams(self, buffer: bytearray, start: int, stop: int, size: int) -> Passage | None:
        """The passage of a large Produce that goes on while it arrives; its exchange has begun then."""
        plan = self._standing.renew()
        if not self._standing.is_open or self.is_over:
            return None
        kind = kind_at(buffer, start, stop)
        if kind >> 16 != apis.PRODUCE:
            return None
        way = self._requests.get(kind) or self._learn(kind, buffer, start, stop, plan)
        if way is None:
            return None
        passage = way.skim.opens(buffer, start, stop, size, way.choices)
        if passage is not None:
            self._streamed_by["produce"] = plan, way.client_id
            self._begin(way)
        return passage

    def close_request(self, passage: Passage, buffer: bytearray, start: int) -> None:
        """The end of a Produce that went on while it arrived stands at `start`; it may go on too.

        Raises:
            MalformedFrame: the message is unsound.
            RulesChanged: by the rules that are current now, its records should have been masked.
        """
        self._close(passage, buffer, start, "produce")

    def response(self, buffer: bytearray, start: int, stop: int) -> bool:
        """Whether the broker's frame goes on as it is; its exchange is over then."""
        leaving = self._leaving()
        if leaving is None:
            return False
        exchange, (skim, choices), _ = leaving
        if not skim.passes(buffer, start, stop, choices) or skim.correlation_id != exchange.correlation_id:
            return False
        self._session.left(exchange)
        return True

    def response_streams(self, buffer: bytearray, start: int, stop: int, size: int) -> Passage | None:
        """The passage of a large Fetch response that goes on while it arrives; its exchange is over when it closes."""
        leaving = self._leaving()
        if leaving is None:
            return None
        exchange, (skim, choices), plan = leaving
        passage = skim.opens(buffer, start, stop, size, choices)
        if passage is None or skim.correlation_id != exchange.correlation_id:
            return None
        self._streamed_by["fetch"] = plan, exchange.client_id
        return passage

    def close_response(self, passage: Passage, buffer: bytearray, start: int) -> None:
        """The end of a Fetch response that went on while it arrived stands at `start`; it may go on too.

        Raises:
            MalformedFrame: the message is unsound, or names an address.
            RulesChanged: by the rules that are current now, its records should have been masked.
        """
        self._close(passage, buffer, start, "fetch")
        exchange = self._session.next_to_leave()
        assert exchange is not None
        self._session.left(exchange)

    def _leaving(self) -> tuple[Exchange, tuple[Skim, Choices | None], Plan] | None:
        """What the broker's next frame answers, and how it is skimmed; None where it takes the long way."""
        exchange = self._session.next_to_leave()
        if self.is_over or exchange is None or exchange.refusals or exchange.grown_bytes > 0:
            return None
        plan = self._standing.renew()
        if not self._standing.is_of(exchange.client_id, plan):
            return None
        kind = exchange.api.key << 16 | exchange.version
        way = self._responses.get(kind)
        if way is None:
            if kind not in _KINDS:
                return None
            way = self._responses[kind] = self._response_way(exchange, plan)
        return exchange, way, plan

    def _close(self, passage: Passage, buffer: bytearray, start: int, at: Direction) -> None:
        plan = self._standing.renew()
        began_by, client_id = self._streamed_by.pop(at)  # a ruleset that was replaced is not held by who has used it
        if not passage.closes(buffer, start):
            raise MalformedFrame(f"{at}: what is behind the records does not follow the schema, or names an address")
        acts = plan is not began_by and plan.acts_at(at)
        if acts and not passage.is_clear(self._standing.choices_of(client_id, at, plan)):
            raise RulesChanged("a rule for this topic was applied while a frame passed; it is not sent whole")

    def _begin(self, way: _Way) -> None:
        """Notes the request that goes on; a Produce without acks has no answer."""
        skim = way.skim
        max_bytes = skim.number if way.is_fetch else None
        if way.is_fetch or skim.number:
            exchange = Exchange(way.api, way.version, skim.correlation_id, way.client_id, max_bytes=max_bytes)
            self._session.sent(exchange)
        metrics.requests.counts[way.api.name] += 1

    def _learn(self, kind: int, buffer: bytearray, start: int, stop: int, plan: Plan) -> _Way | None:
        """Reads a first request of its kind; None where it takes the long way."""
        if kind not in _KINDS:
            return None
        known = self._standing.read_head(memoryview(buffer)[start:stop], plan)
        if known is None:
            return None
        header, head = known
        if header.api.key == apis.PRODUCE:
            skim = skim_produce_request(header.version, head)
            choices = self._choices("produce", plan)
        else:
            skim = skim_fetch_request(header.version, head, limit_bytes=self._fetch_bytes)
            choices = self._named if plan.acts_at("fetch") else None
        way = self._requests[kind] = _Way(header.api, header.version, header.client_id, skim, choices)
        return way

    def _response_way(self, exchange: Exchange, plan: Plan) -> tuple[Skim, Choices | None]:
        if exchange.api.key == apis.PRODUCE:
            return skim_produce_response(exchange.api, exchange.version), None
        return skim_fetch_response(exchange.api, exchange.version), self._choices("fetch", plan)

    def _choices(self, at: Direction, plan: Plan) -> Choices | None:
        """What happens to topics; None where that is nothing for all of them."""
        return self._standing.choices(at, plan) if plan.acts_at(at) else None

    def _is_named(self, topic: str | bytes) -> bool | None:
        """A choice of Fetch requests, to which nothing happens once the topic's name is known."""
        return None if self._standing.name(topic) is None else False
