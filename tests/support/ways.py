"""The quick way and the long way of a frame side by side, with the same rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.scripted import Rules
from wiremask.protocol.api import APIS, FETCH
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.header import make_response_header
from wiremask.proxy import metrics
from wiremask.proxy.budget import Budget
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.masking import Allowance, TooHeavy, Work
from wiremask.proxy.pipeline import Pipeline
from wiremask.proxy.session import Exchange, Session
from wiremask.proxy.steps import Forward, Reply
from wiremask.proxy.topics import TopicNames

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping

    from wiremask.proxy.quickway import QuickWay


class Owner:
    """Holds memory and never moves."""

    progress = 0

    def cut(self, reason: str) -> None:
        raise AssertionError(reason)


class Ways:
    """Both ways with the same rules, each with a session of its own."""

    def __init__(self, rules: str, topic_ids: Mapping[uuid.UUID, str], *, worker_bytes: int = 200_000) -> None:
        self.rules = Rules(rules)
        self.limits = LimitsConfig(worker_bytes=worker_bytes)
        self.topics = TopicNames()
        for topic_id, name in topic_ids.items():
            self.topics.learn(topic_id.bytes, name)
        self.pipeline = Pipeline(self.topics, self.limits)
        self.session, self.long_session = Session(), Session()
        self.budget = Budget(1 << 30)
        self.may = Allowance(
            limit_bytes=worker_bytes,
            is_final=False,
            charge=lambda count: self.budget.charge(count, Owner()),
        )
        standing = self.pipeline.standing(self.session, self.rules)  # type: ignore[arg-type]
        self.quick: QuickWay = self.pipeline.quick_way(standing, may=self.may)

    def work(self) -> Work:
        return Work(self.may)

    def long_request(self, frame: bytes) -> Forward | None:
        """What the long way does, if it forwards all that came."""
        try:
            step = self.pipeline.request(
                self.long_session, frame, self.rules.current.plan, work=self.work(), looked_up=False
            )
        except (ProtocolError, TooHeavy):
            return None
        return step if isinstance(step, Forward) and not (step.exchange and step.exchange.refusals) else None

    def long_response(self, exchange: Exchange, frame: bytes) -> bytes:
        """What the long way sends to the client."""
        step = self.pipeline.response(
            self.long_session,
            lambda _, host, port: (host, port),
            exchange,
            frame,
            self.rules.current.plan,
            work=self.work(),
            looked_up=False,
        )
        assert isinstance(step, Reply)
        return b"".join(step.pieces)


def asked(version: int, *, max_bytes: int | None = None, **more: Any) -> Exchange:
    """A Fetch request that waits for its answer."""
    return Exchange(APIS[FETCH], version, 7, "raw", max_bytes=max_bytes, **more)


def response(version: int, body: bytes, *, correlation_id: int = 7) -> bytes:
    """A frame of the broker, without its size."""
    return make_response_header(APIS[FETCH], version, correlation_id=correlation_id) + body


def told(exchange: Exchange | None) -> tuple[Any, ...] | None:
    """What is kept of a request."""
    if exchange is None:
        return None
    return exchange.api, exchange.version, exchange.correlation_id, exchange.client_id, exchange.grown_bytes


def counted() -> dict[tuple[str, object], int]:
    """All that was told of records so far."""
    tallies = {
        name: getattr(metrics, name)
        for name in (
            "masked_values",
            "masked_fields",
            "unreadable_values",
            "refused_values",
            "omitted_records",
            "observed_fields",
            "observed_failures",
        )
    }
    return {(name, key): count for name, tally in tallies.items() for key, count in tally.counts.items() if count}


def more(before: Mapping[tuple[str, object], int]) -> dict[tuple[str, object], int]:
    """What was told since then."""
    return {key: count - before.get(key, 0) for key, count in counted().items() if count != before.get(key, 0)}
