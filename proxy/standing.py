# cython: language_level=3, annotation_typing=False, nonecheck=True
"""What a connection's quick decisions hold for: one ruleset, one client id, one state of the login.

The short way and the quick way remember how frames of a version are read and what happens to topics. With any of the
three all of that is forgotten, by both at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wiremask.protocol.choices import Choices
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.header import RequestHeader, read_request_header
from wiremask.rules import RulesClash

if TYPE_CHECKING:
    from wiremask.proxy.reload import RuleSource
    from wiremask.proxy.session import Session
    from wiremask.proxy.topics import TopicNames
    from wiremask.rules import Direction, Plan, TopicPlan

_HEAD_START: Final = 8  # of what a request's header has behind the correlation id
_HEAD_BYTES: Final = 1024  # of one that is remembered: a client could make it as long as a frame


class Standing:
    """What decisions hold for, and what was remembered under it.

    Attributes:
        session: the connection's.
        client_id: what the client calls itself.
        is_open: the client has been let in, or need not be; its next frame is no token.
    """

    def __init__(self, session: Session, rules: RuleSource, topics: TopicNames) -> None:
        self.session = session
        self.client_id: str | None = None
        self.is_open = False
        self._rules = rules
        self._topics = topics
        self._plan: Plan | None = None
        self._login_steps = -1
        self._choices: dict[Direction, Choices] = {}
        self._remembered: list[dict[Any, Any]] = [self._choices]

    def remember(self, into: dict[Any, Any]) -> None:
        """Has `into` emptied when what it was filled under is over."""
        self._remembered.append(into)

    def renew(self) -> Plan:
        """The current ruleset; what was remembered under another, or in another state of the login, is forgotten."""
        plan = self._rules.current.plan
        if plan is not self._plan or self.session.identity.steps != self._login_steps:
            self._begin(plan)
        return plan

    def notice_client(self) -> None:
        """Forgets what was remembered for another client id, after a frame that was not taken."""
        if self.client_id != self.session.client_id and self._plan is not None:
            self._begin(self._plan)

    def is_of(self, client_id: str | None, plan: Plan) -> bool:
        """Whether what is decided here holds for a request of `client_id`."""
        return not plan.has_conditions or client_id == self.client_id

    def read_head(self, frame: memoryview, plan: Plan) -> tuple[RequestHeader, bytes] | None:
        """Reads the first header of a version, and what of it all its like have in common.

        None where the long way will say what is wrong with it, or where it is too long to be remembered.
        """
        try:
            header = read_request_header(frame)
        except ProtocolError:
            return None
        if header.client_id != self.client_id:
            self.session.client_id = header.client_id
            self._begin(plan)
        if header.body_start - _HEAD_START > _HEAD_BYTES:
            return None
        return header, bytes(frame[_HEAD_START : header.body_start])

    def choices(self, at: Direction, plan: Plan) -> Choices:
        """What happens to topics of this client's."""
        choices = self._choices.get(at)
        if choices is None:
            choices = self._choices[at] = self.choices_of(self.client_id, at, plan)
        return choices

    def choices_of(self, client_id: str | None, at: Direction, plan: Plan) -> Choices:
        """What happens to topics of any client's: the plan of a topic, False where no rule touches it."""
        rules = self.session.plan_for(plan, client_id)

        def match(topic: str | bytes) -> TopicPlan | bool | None:
            name = self.name(topic)
            if name is None:
                return None
            try:
                return rules.match(name, at) or False
            except RulesClash:
                return None

        return Choices(match)

    def name(self, topic: str | bytes) -> str | None:
        """A topic's name, by its name or id; None if the id is not known."""
        return topic if isinstance(topic, str) else self._topics.name(topic)

    def _begin(self, plan: Plan) -> None:
        identity = self.session.identity
        self._plan = plan
        self._login_steps = identity.steps
        self.is_open = not identity.is_pending and not identity.expects_bare_token
        self.client_id = self.session.client_id
        for remembered in self._remembered:
            remembered.clear()
