"""DescribeCluster: the brokers, or the controllers, for admin clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol.fields import Int8, Int32, Many, Text
from wiremask.protocol.messages.node import Addresses, put_address
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from wiremask.protocol.splice import Edits

_BROKERS: Final = 1


class DescribedNode(Element):
    """A broker or controller."""

    node_id = Int32("BrokerId")
    host = Text("Host")
    port = Int32("Port")


class DescribeClusterRequest(Message):
    """What an admin client wants to know of the cluster; nothing of it is changed."""


class DescribeClusterResponse(Message):
    """The nodes of a cluster. Endpoint type 1 are brokers, 2 controllers (KIP-919); before version 1 brokers only."""

    endpoint_type = Int8("EndpointType")
    cluster_id = Text("ClusterId")
    controller_id = Int32("ControllerId")
    nodes = Many("Brokers", DescribedNode)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of brokers; those of controllers stay, since the proxy serves no controller."""
        if self.endpoint_type != _BROKERS:
            return
        for node in self.nodes:
            put_address(
                edits,
                node,
                node_id=node.node_id,
                address=(node.host, node.port),
                fields=(DescribedNode.host, DescribedNode.port),
                addresses=addresses,
            )
