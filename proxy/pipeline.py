"""The data path, top to bottom: what becomes of a request on its way out, and of a response on its way back.

    out:   frame, shortcut?, quickway? -> header, api -> message -> topic names -> match -> mask -> message -> broker
    back:  frame, shortcut?, quickway? -> exchange -> message -> topic names -> match -> mask -> message -> client

Frames that need nothing, most of them, do not come here: `shortcut` passes them on, and `quickway` masks small ones
that need nothing else. What they may do is what this file would have done. Each step is one call into the file that is
named for it: `protocol.header`, `protocol.api`, `protocol.messages`, `topics`, `rules.plan`, `masking`. Nothing here
waits or writes. A function takes a frame and says what the connection shall do, so that a large frame can be worked on
by a thread. What cannot be read raises `ProtocolError`, and the connection closes; records that cannot be forwarded
are refused for their partition, with the code that a broker would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ErrorCode, RecordsError
from wiremask.protocol.frame import frame_pieces
from wiremask.protocol.header import (
    RequestHeader,
    make_request_header,
    read_request_header,
    read_response_header,
)
from wiremask.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse, make_unsupported_version
from wiremask.protocol.messages.checked import CHECKED
from wiremask.protocol.messages.cluster import DescribeClusterResponse
from wiremask.protocol.messages.coordinator import FindCoordinatorResponse
from wiremask.protocol.messages.fetch import FetchRequest, FetchResponse
from wiremask.protocol.messages.metadata import MetadataResponse, make_topics_request
from wiremask.protocol.messages.produce import PartitionRefusal, ProduceRequest, ProduceResponse, make_produce_response
from wiremask.protocol.messages.sasl import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)
from wiremask.protocol.messages.share import ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse
from wiremask.protocol.messages.topic import CreateTopicsResponse, DescribeTopicPartitionsResponse, topic_names
from wiremask.protocol.splice import size_of
from wiremask.proxy.growth import leave_out_what_outgrew, tell_outgrown
from wiremask.proxy.log import logger
from wiremask.proxy.masking import Allowance, Work, mask_fetched, mask_produced
from wiremask.proxy.quickway import QuickWay
from wiremask.proxy.refusals import LoginUnfinished, RulesUnfit, TopicUnknown, code_for_reader, refusal, tell_refused
from wiremask.proxy.session import Exchange, Pieces, Session
from wiremask.proxy.shortcut import Shortcut
from wiremask.proxy.standing import Standing
from wiremask.proxy.steps import Forward, LookUp, Reply, RequestStep, ResponseStep, Verify, answer, exchange_of
from wiremask.rules import RulesClash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wiremask.protocol.messages.fetch import FetchedPartition
    from wiremask.protocol.messages.node import Addresses
    from wiremask.protocol.messages.produce import ProducePartition
    from wiremask.protocol.messages.share import ShareFetchedPartition
    from wiremask.protocol.splice import Edits
    from wiremask.proxy.limits import LimitsConfig
    from wiremask.proxy.reload import RuleSource
    from wiremask.proxy.topics import TopicNames
    from wiremask.rules import ClientPlan, Direction, Plan, TopicPlan

_log = logger()

Frame = bytes | bytearray

LOOKUP_VERSION = 12
"""The first Metadata that looks topics up by id (KIP-516); every broker with Fetch 13 has it."""


class Pipeline:
    """What every connection does with its frames. Holds no state of a connection, and is called by several threads."""

    def __init__(self, topics: TopicNames, limits: LimitsConfig) -> None:
        self._topics = topics
        self._limits = limits
        # Half of what one frame may have: a broker goes beyond what it is asked for by as much as one batch.
        self._fetch_bytes = limits.frame_bytes // 2
        self._responses: dict[int, Callable[[_Returning], Edits | LookUp | None]] = {
            apis.PRODUCE: self._produced,
            apis.FETCH: self._fetched,
            apis.METADATA: self._metadata,
            apis.FIND_COORDINATOR: self._coordinator,
            apis.SASL_HANDSHAKE: self._login_offered,
            apis.SASL_AUTHENTICATE: self._login_answered,
            apis.API_VERSIONS: self._offered,
            apis.CREATE_TOPICS: self._created,
            apis.DESCRIBE_CLUSTER: self._cluster,
            apis.DESCRIBE_TOPIC_PARTITIONS: self._described,
            apis.SHARE_FETCH: self._share_fetched,
            apis.SHARE_ACKNOWLEDGE: self._share_acknowledged,
        }

    def standing(self, session: Session, rules: RuleSource) -> Standing:
        """What the decisions of both other ways of one connection hold for."""
        return Standing(session, rules, self._topics)

    def shortcut(self, standing: Standing) -> Shortcut:
        """What decides for one connection which frames need none of this and go on as they are."""
        return Shortcut(standing, fetch_bytes=self._fetch_bytes)

    def quick_way(self, standing: Standing, *, may: Allowance) -> QuickWay:
        """What masks for one connection the small frames that need nothing else."""
        return QuickWay(standing, may=may, limit_bytes=self._limits.worker_bytes)

    # Out: client to broker.

    def request(self, session: Session, frame: Frame, plan: Plan, *, work: Work, looked_up: bool) -> RequestStep:
        """Decides about one request.

        Args:
            plan: the ruleset that was current when the frame had arrived and its turn came.
            work: what masking may take.
            looked_up: the broker was asked already for the topic names that this request needs.

        Raises:
            ProtocolError: the connection must close.
            TooHeavy: a worker thread shall do it over again, with more room.
        """
        if session.identity.expects_bare_token:
            return self._bare_token(session, frame)
        header = read_request_header(frame)
        session.client_id = header.client_id
        if session.identity.is_pending and header.api.key not in _BEFORE_LOGIN:
            raise LoginUnfinished(f"{header.api.name} before the login is complete; a broker refuses it too")
        rules = session.plan_for(plan, header.client_id)
        match header.api.key:
            case apis.PRODUCE:
                return self._produce(session, header, frame, rules, work, looked_up=looked_up)
            case apis.FETCH:
                return self._fetch(session, header, frame, rules, looked_up=looked_up)
            case apis.SHARE_FETCH:
                return self._fetch(session, header, frame, rules, looked_up=looked_up)
            case apis.API_VERSIONS:
                return self._api_versions(header, frame)
            case apis.SASL_HANDSHAKE:
                handshake = SaslHandshakeRequest.read(memoryview(frame)[header.body_start :], header.version)
                if session.login is not None:
                    return answer(header, session.login.offer(handshake.mechanism, header.version))
                session.identity.offer(handshake.mechanism, header.version)
            case apis.SASL_AUTHENTICATE:
                step = SaslAuthenticateRequest.read(memoryview(frame)[header.body_start :], header.version)
                if session.login is not None:
                    return Verify(header=header, token=bytes(step.token or b""))
                session.identity.client_token(step.token or b"")
            case key if checked := CHECKED.get(key):
                checked.read(memoryview(frame)[header.body_start :], header.version)
        return Forward(pieces=frame_pieces(frame), exchange=exchange_of(header))

    def _produce(
        self, session: Session, header: RequestHeader, frame: Frame, plan: ClientPlan, work: Work, *, looked_up: bool
    ) -> RequestStep:
        request = ProduceRequest.read(memoryview(frame)[header.body_start :], header.version)
        if not plan.acts_at("produce"):
            return Forward(pieces=frame_pieces(frame), exchange=exchange_of(header) if request.acks else None)
        if not looked_up and (step := self._look_up(session, [topic.topic_id for topic in request.topics])):
            return step

        edits = request.edit()
        refusals: list[PartitionRefusal] = []
        grown_bytes = 0
        for topic in request.topics:
            name = self._name(topic.name, topic.topic_id)
            topic_plan = _match(plan, name, "produce")
            if name is not None and topic_plan is None:
                continue
            for partition in topic.partitions:
                try:
                    masked = _mask_produced(partition, name, topic_plan, work)
                except RecordsError as error:
                    edits.remove(topic, partition)
                    refusals.append(refusal(topic.topic_id or name, partition.index, error))
                else:
                    if masked is not None:
                        edits.put_records(partition, *masked)
                        grown_bytes += size_of(masked) - len(partition.records or b"")

        work.tell()
        if refusals:
            tell_refused(session, "produce", refusals)
        if request.acks == 0:
            # Nobody waits for an answer. A broker closes the connection to say that something was refused.
            pieces = () if edits.is_empty else self._edited(header, frame, edits)
            return Forward(pieces=pieces, exchange=None, then_close="acks=0 refused" if refusals else None)
        if refusals and edits.is_empty:
            return answer(header, make_produce_response(header.version, refusals))
        exchange = exchange_of(header, refusals)
        exchange.grown_bytes = grown_bytes
        return Forward(pieces=self._edited(header, frame, edits), exchange=exchange)

    def _fetch(
        self, session: Session, header: RequestHeader, frame: Frame, plan: ClientPlan, *, looked_up: bool
    ) -> RequestStep:
        kind = FetchRequest if header.api.key == apis.FETCH else ShareFetchRequest
        request = kind.read(memoryview(frame)[header.body_start :], header.version)
        if plan.acts_at("fetch") and not looked_up:
            # Before the request is forwarded: later the look-up would wait behind a long poll.
            step = self._look_up(session, [topic.topic_id for topic in request.topics])
            if step is not None:
                return step
        exchange = exchange_of(header)
        if isinstance(request, FetchRequest):
            # No batch of a ShareFetch may be left out for its size: it is acquired, and would be a gap to the member.
            exchange.max_bytes = min(request.max_bytes, self._fetch_bytes)
            body = request.lowered(max_bytes=self._fetch_bytes, partition_max_bytes=self._fetch_bytes)
        else:
            body = request.lowered(max_bytes=self._fetch_bytes)
        return Forward(pieces=frame_pieces(memoryview(frame)[: header.body_start], body), exchange=exchange)

    @staticmethod
    def _bare_token(session: Session, frame: Frame) -> RequestStep:
        """A token of a login that began with SaslHandshake 0: no header, no correlation id."""
        api = apis.APIS[apis.SASL_AUTHENTICATE]
        session.identity.client_token(frame)
        exchange = Exchange(api=api, version=0, correlation_id=-1, is_bare=True)
        return Forward(pieces=frame_pieces(frame), exchange=exchange)

    def _api_versions(self, header: RequestHeader, frame: Frame) -> RequestStep:
        if not header.is_taken:
            return answer(header, make_unsupported_version())
        ApiVersionsRequest.read(memoryview(frame)[header.body_start :], header.version)
        return Forward(pieces=frame_pieces(frame), exchange=exchange_of(header))

    # Back: broker to client.

    @staticmethod
    def exchange(session: Session, frame: Frame) -> Exchange:
        """The request that a broker's frame answers.

        Raises:
            MalformedFrame: the frame answers none.
        """
        if session.awaits_bare_token:
            return session.match(None)
        return session.match(read_response_header(frame, flexible=False)[0])

    def response(
        self,
        session: Session,
        addresses: Addresses,
        exchange: Exchange,
        frame: Frame,
        plan: Plan,
        *,
        work: Work,
        looked_up: bool,
    ) -> ResponseStep:
        """Decides about the response to `exchange`.

        Args:
            addresses: what a client is told instead of a broker's address.
            plan: the ruleset that was current when the frame had arrived and its turn came.
            work: what masking may take.
            looked_up: the broker was asked already for the topic names that this response needs.

        Raises:
            ProtocolError: the connection must close.
            TooHeavy: a worker thread shall do it over again, with more room.
        """
        if exchange.is_bare:
            _tell_login(session, is_accepted=session.identity.server_token(ErrorCode.NONE, frame))
            return Reply(pieces=frame_pieces(frame))
        read = self._responses.get(exchange.api.key)
        if read is None:
            return Reply(pieces=frame_pieces(frame))
        flexible = exchange.api.has_flexible_response_header(exchange.version)
        _, body_start = read_response_header(frame, flexible=flexible)
        body = memoryview(frame)[body_start:]
        rules = session.plan_for(plan, exchange.client_id)
        step = read(_Returning(session, addresses, exchange, body, rules, work, looked_up))
        if step is None:
            return Reply(pieces=() if exchange.is_lookup else frame_pieces(frame))
        if isinstance(step, LookUp):
            return step
        return Reply(pieces=frame_pieces(bytes(frame[:body_start]), *step.pieces()))

    def _produced(self, back: _Returning) -> Edits | None:
        response = ProduceResponse.read(back.body, back.version)
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        response.merge(edits, back.exchange.refusals)
        if back.exchange.grown_bytes > 0:
            tell_outgrown(back.session, response, grown_bytes=back.exchange.grown_bytes)
        return edits or None

    def _fetched(self, back: _Returning) -> Edits | LookUp | None:
        return self._read(back, FetchResponse.read(back.body, back.version))

    def _share_fetched(self, back: _Returning) -> Edits | LookUp | None:
        return self._read(back, ShareFetchResponse.read(back.body, back.version))

    def _read(self, back: _Returning, response: FetchResponse | ShareFetchResponse) -> Edits | LookUp | None:
        """Records on their way to a reader, by Fetch or ShareFetch."""
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        if not back.plan.acts_at("fetch"):
            return edits or None
        if not back.looked_up and (step := self._look_up(back.session, [topic.topic_id for topic in response.topics])):
            return step

        if back.exchange.max_bytes is not None:
            back.work.enough_bytes = max(back.exchange.max_bytes, len(back.body))
        refused: list[PartitionRefusal] = []
        masked: list[tuple[FetchedPartition | ShareFetchedPartition, list[bytes | memoryview]]] = []
        for topic in response.topics:
            name = self._name(topic.name, topic.topic_id)
            topic_plan = _match(back.plan, name, "fetch")
            if name is not None and topic_plan is None:
                continue
            for partition in topic.partitions:
                try:
                    batches = _mask_fetched(partition, name, topic_plan, back.work)
                except RecordsError as error:
                    partition.fail(edits, code_for_reader(error))
                    refused.append(refusal(name or topic.topic_id, partition.index, error))
                else:
                    if batches is not None:
                        masked.append((partition, batches))
        leave_out_what_outgrew(masked, size=len(back.body), max_bytes=back.exchange.max_bytes)
        for partition, batches in masked:
            partition.put_records(edits, *batches)
        back.work.tell()
        if refused:
            tell_refused(back.session, "fetch", refused)
        return edits or None

    def _offered(self, back: _Returning) -> Edits:
        response = ApiVersionsResponse.read(back.body, back.version)
        back.session.broker_versions.update({offered.key: offered.last for offered in response.apis})
        edits = response.edit()
        response.keep(edits)
        return edits

    def _metadata(self, back: _Returning) -> Edits | None:
        response = MetadataResponse.read(back.body, back.version)
        self._learn(topic_names(response.topics))
        if back.exchange.is_lookup:
            return None
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        return edits

    def _coordinator(self, back: _Returning) -> Edits:
        response = FindCoordinatorResponse.read(back.body, back.version)
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        return edits

    def _cluster(self, back: _Returning) -> Edits:
        response = DescribeClusterResponse.read(back.body, back.version)
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        return edits

    def _share_acknowledged(self, back: _Returning) -> Edits:
        response = ShareAcknowledgeResponse.read(back.body, back.version)
        edits = response.edit()
        response.put_addresses(edits, back.addresses)
        return edits

    @staticmethod
    def _login_offered(back: _Returning) -> None:
        back.session.identity.offered(SaslHandshakeResponse.read(back.body, back.version).error_code)

    @staticmethod
    def _login_answered(back: _Returning) -> None:
        response = SaslAuthenticateResponse.read(back.body, back.version)
        is_accepted = back.session.identity.server_token(response.error_code, response.token or b"")
        _tell_login(back.session, is_accepted=is_accepted)

    def _created(self, back: _Returning) -> None:
        self._learn(topic_names(CreateTopicsResponse.read(back.body, back.version).topics))

    def _described(self, back: _Returning) -> None:
        self._learn(topic_names(DescribeTopicPartitionsResponse.read(back.body, back.version).topics))

    # Topic names.

    def _name(self, name: str | None, topic_id: bytes | None) -> str | None:
        return name if topic_id is None else self._topics.name(topic_id)

    def _learn(self, names: Iterable[tuple[bytes, str]]) -> None:
        for topic_id, name in names:
            self._topics.learn(topic_id, name)

    def _look_up(self, session: Session, topic_ids: Iterable[bytes | None]) -> LookUp | None:
        """The look-up that is needed before these topics can be matched; None if all names are known."""
        unknown = self._topics.unknown(topic_id for topic_id in topic_ids if topic_id is not None)
        if session.identity.is_pending:
            return None  # the broker takes nothing but the login now; what stays unknown is refused
        if not unknown or session.broker_versions.get(apis.METADATA, LOOKUP_VERSION) < LOOKUP_VERSION:
            return None
        api = apis.APIS[apis.METADATA]
        exchange = Exchange(api=api, version=LOOKUP_VERSION, correlation_id=-1, is_lookup=True)
        head = make_request_header(
            api, LOOKUP_VERSION, correlation_id=exchange.correlation_id, client_id=session.client_id or ""
        )
        return LookUp(pieces=frame_pieces(head, make_topics_request(LOOKUP_VERSION, unknown)), exchange=exchange)

    @staticmethod
    def _edited(header: RequestHeader, frame: Frame, edits: Edits) -> Pieces:
        return frame_pieces(bytes(frame[: header.body_start]), *edits.pieces()) if edits else frame_pieces(frame)

    # Which frames are worth a thread.

    def is_heavy_request(self, frame: Frame, plan: Plan, *, from_bytes: int) -> bool:
        """Whether this request would keep other connections waiting: by its records, or by a million partitions."""
        if len(frame) < from_bytes:
            return False
        key = int.from_bytes(frame[:2], "big")
        if key == apis.PRODUCE:
            return plan.acts_at("produce")
        return key in {apis.FETCH, apis.SHARE_FETCH} and len(frame) >= self._limits.worker_bytes

    def is_heavy_response(self, exchange: Exchange, frame: Frame, plan: Plan, *, from_bytes: int) -> bool:
        """Whether masking this response would keep other connections waiting."""
        return len(frame) >= from_bytes and exchange.api.key in {apis.FETCH, apis.SHARE_FETCH} and plan.acts_at("fetch")


@dataclass(frozen=True, slots=True)
class _Returning:
    """A response on its way back, and what is known of it."""

    session: Session
    addresses: Addresses
    exchange: Exchange
    body: memoryview
    plan: ClientPlan
    work: Work
    looked_up: bool

    @property
    def version(self) -> int:
        return self.exchange.version


_BEFORE_LOGIN = frozenset({apis.API_VERSIONS, apis.SASL_HANDSHAKE, apis.SASL_AUTHENTICATE})
"""What a client may ask for before the broker has let it in; of all else some part may hang on who it is."""


def _match(plan: ClientPlan, name: str | None, at: Direction) -> TopicPlan | None:
    """The rules for a topic; None where there are none, or where the topic has no name."""
    if name is None:
        return None
    try:
        return plan.match(name, at)
    except RulesClash as error:
        raise RulesUnfit(f"the rules that meet on topic {name} cannot act together: {error}") from error


def _mask_produced(
    partition: ProducePartition, name: str | None, plan: TopicPlan | None, work: Work
) -> list[bytes | memoryview] | None:
    if name is None or plan is None:
        raise TopicUnknown("no broker told the name of this topic id")
    return None if partition.records is None else mask_produced(partition.records, plan, work)


def _mask_fetched(
    partition: FetchedPartition | ShareFetchedPartition, name: str | None, plan: TopicPlan | None, work: Work
) -> list[bytes | memoryview] | None:
    if not partition.records:
        return None
    if name is None or plan is None:
        raise TopicUnknown("no broker told the name of this topic id")
    return mask_fetched(partition.records, plan, work)


def _tell_login(session: Session, *, is_accepted: bool) -> None:
    if is_accepted:
        identity = session.identity
        why = None if identity.principal is not None else f"{identity.mechanism} does not tell, or tells it in doubt"
        _log.debug(
            "logged in",
            session=session.number,
            client_id=session.client_id,
            principal=identity.principal,
            reason=why,
        )
