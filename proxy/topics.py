"""Topic ids and the names that they stand for, learned from what brokers answer.

An id never changes its name (a topic made anew has a new id), so an entry cannot go stale; the table is bounded and
forgets what was used longest ago.

Source: KIP-516.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ZERO_ID = bytes(16)


class TopicNames:
    """A bounded table from topic id (16 bytes) to topic name, shared by all connections."""

    def __init__(self, limit: int = 100_000) -> None:
        self._names: OrderedDict[bytes, str] = OrderedDict()
        self._limit = limit

    def learn(self, topic_id: bytes, name: str) -> None:
        """Remembers one pair; the zero id of older brokers stands for no topic."""
        if topic_id == ZERO_ID:
            return
        self._names[topic_id] = name
        self._names.move_to_end(topic_id)
        if len(self._names) > self._limit:
            self._names.popitem(last=False)

    def name(self, topic_id: bytes) -> str | None:
        """The name that stands for an id, or None while no broker told it."""
        name = self._names.get(topic_id)
        if name is not None:
            with suppress(KeyError):  # another thread may have learned a name meanwhile, and forgotten this one
                self._names.move_to_end(topic_id)
        return name

    def unknown(self, topic_ids: Iterable[bytes]) -> list[bytes]:
        """Those of `topic_ids` that a broker could name and none did yet, each once, in order."""
        return [one for one in dict.fromkeys(topic_ids) if one not in self._names and one != ZERO_ID]
