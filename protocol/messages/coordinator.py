"""FindCoordinator: which broker coordinates a group, a transaction or a share group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.fields import Int32, Many, OptionalText
from wiremask.protocol.messages.node import Addresses, Node, put_address, put_addresses
from wiremask.protocol.view import Message

if TYPE_CHECKING:
    from wiremask.protocol.splice import Edits


class FindCoordinatorRequest(Message):
    """Whose coordinator a client asks for; nothing of it is changed."""


class FindCoordinatorResponse(Message):
    """One coordinator in the message itself up to version 3, a list of them from 4 on; node id -1 on an error."""

    node_id = Int32("NodeId")
    host = OptionalText("Host")
    port = Int32("Port")
    coordinators = Many("Coordinators", Node)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of all coordinators."""
        host = self.host
        if host is None:
            put_addresses(edits, self.coordinators, addresses)
            return
        put_address(
            edits,
            self,
            node_id=self.node_id,
            address=(host, self.port),
            fields=(FindCoordinatorResponse.host, FindCoordinatorResponse.port),
            addresses=addresses,
        )
