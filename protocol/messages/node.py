"""Broker addresses inside messages, and how another is put in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wiremask.protocol.fields import Int32, OptionalText, Text, put_size
from wiremask.protocol.view import Element

if TYPE_CHECKING:
    from wiremask.protocol.splice import Edits
    from wiremask.protocol.walk import Elements

# (node id, host, port) of a broker -> the host and port that clients are to be told
Addresses = Callable[[int, str, int], tuple[str, int]]


class Node(Element):
    """A broker's id and address: in Metadata, FindCoordinator 4+, and the node endpoints of KIP-951."""

    node_id = Int32("NodeId")
    host = Text("Host")
    port = Int32("Port")


def put_addresses(edits: Edits, nodes: Elements[Node], addresses: Addresses) -> None:
    """Rewrite the address of each node."""
    for node in nodes:
        put_address(
            edits,
            node,
            node_id=node.node_id,
            address=(node.host, node.port),
            fields=(Node.host, Node.port),
            addresses=addresses,
        )
    put_size(edits, nodes)


def put_address(
    edits: Edits,
    element: Element,
    *,
    node_id: int,
    address: tuple[str, int],
    fields: tuple[Text | OptionalText, Int32],
    addresses: Addresses,
) -> None:
    """Rewrite one address; a negative node id means that no broker is named, and stays as it is."""
    if node_id < 0:
        return
    host, port = addresses(node_id, *address)
    if (host, port) != address:
        fields[0].put(edits, element, host)
        fields[1].put(edits, element, port)
