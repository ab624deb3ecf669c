"""Ports where nobody may ever come: what brokers advertise and a proxy has to hide.

A broker's RECORDED listener advertises another port than the bound one. A proxy that is told the bound ports by
`upstream.nodes` never needs the advertised ones, so whoever connects there learned of them from an answer that the proxy
let through. That catches every connection, not only those that are open when somebody looks.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from support.kafka import KafkaBroker, KafkaCluster


class Tripwires:
    """Listens on the advertised ports of brokers, closes what comes, and counts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[socket.socket] = []
        self._touched = 0

    @property
    def touched(self) -> int:
        """Connections so far."""
        with self._lock:
            return self._touched

    def guard(self, broker: KafkaBroker) -> None:
        """Listens where this broker says that it is."""
        listener = socket.create_server(("127.0.0.1", broker.relay_port))
        self._listeners.append(listener)
        threading.Thread(target=self._count, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Ends; the ports are free again."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            listener.close()

    def _count(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.close()
            with self._lock:
                self._touched += 1


def hidden_upstream(cluster: KafkaCluster) -> dict[str, object]:
    """Section `upstream` for a proxy that reaches every broker without the address that the broker advertises."""
    return {
        "bootstrapServers": cluster.recorded_bootstrap.split(","),
        "nodes": {str(node): f"127.0.0.1:{broker.recorded_port}" for node, broker in cluster.brokers.items()},
    }


def strangers(cluster: KafkaCluster, *allowed: int) -> set[int]:
    """Processes with a connection to a listener that brokers keep for the proxy, save the `allowed` process ids."""
    own = {broker.recorded_port for broker in cluster.brokers.values()}
    peers = {process.pid for process in psutil.process_iter() if not own.isdisjoint(_remote_ports(process))}
    return peers - set(allowed)


def _remote_ports(process: psutil.Process) -> set[int]:
    try:
        found = process.net_connections(kind="tcp")
        return {connection.raddr.port for connection in found if connection.status == psutil.CONN_ESTABLISHED}
    except psutil.Error:
        return set()  # it ended, or it is not ours to look at
