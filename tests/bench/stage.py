"""A broker and the lanes that lead to it: what every part of the bench that goes over sockets runs on.

- `relay`: `bench.relay`.
- `haproxy`: Debian's, in TCP mode; left out where it cannot be had, which is a failure if WIREMASK_REQUIRE_HAPROXY is 1.
- `no rule`: the proxy with rules loaded, on topics that none of them matches.
- `rule`: the same process, on topics with one rule that masks four fields.
- a lane for each target that the command line names.

Relay and HAProxy have a listener of the broker each, which advertises their port, so that clients stay on them and no byte has
to be rewritten. A target must tell clients its own address, as a Kafka proxy does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench import records
from bench.haproxy import REQUIRED, HaproxyUnavailable, haproxy
from bench.rows import Failed
from support import ports
from support.kafka import KafkaCluster
from support.process import Child
from support.proxy import ProxyProcess
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BASELINE, HAPROXY, NO_RULE, RULE = "relay", "haproxy", "no rule", "rule"
KAFKA_PORT = 29092
"""Where the broker listens if there is a target, so that the target can be started before the bench."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Another proxy, which runs already and leads to `KAFKA_PORT`."""

    name: str
    address: str
    pid: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads `name=host:port,pid`.

        Raises:
            ValueError: the text has another form.
        """
        name, _, rest = text.partition("=")
        address, _, pid = rest.partition(",")
        if not name or ":" not in address or not pid.isdecimal():
            raise ValueError(f"write name=host:port,pid, not {text}")
        return cls(name=name, address=address, pid=int(pid))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One way to the broker. `masked` says which topics its clients use, and what comes of the records."""

    name: str
    bootstrap: str
    pid: int
    masked: bool

    @property
    def port(self) -> int:
        """The port of `bootstrap`."""
        return int(self.bootstrap.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs, and which lanes are left out."""

    kafka: KafkaCluster
    lanes: list[Lane]
    proxy: ProxyProcess
    missing: list[Failed] = field(default_factory=list)

    def lane(self, name: str) -> Lane:
        """The lane of that name."""
        return next(lane for lane in self.lanes if lane.name == name)


@contextlib.contextmanager
def running_stage(home: Path, *, targets: Sequence[Target] = ()) -> Iterator[Stage]:
    """Starts a broker, the relay, HAProxy and the proxy.

    Args:
        home: an empty folder, for what all of them write; it needs room for about a gigabyte.
        targets: other proxies, which are running.

    Raises:
        KafkaUnavailable: there is no Java, Maven or Kafka here.
    """
    with contextlib.ExitStack() as stack:
        block = ports.reserve()
        stack.callback(block.release)
        behind_haproxy, before_haproxy = block.take(), block.take()
        cluster = KafkaCluster(home=home / "kafka")
        if targets:
            cluster.broker.port = KAFKA_PORT
        cluster.more_listeners["BALANCED"] = behind_haproxy, before_haproxy
        stack.callback(cluster.stop)
        cluster.start()
        broker = cluster.broker

        relay = Child(
            [
                sys.executable,
                str(Path(__file__).with_name("relay.py")),
                str(broker.relay_port),
                str(broker.recorded_port),
            ],
            log=home / "relay.log",
        )
        stack.callback(relay.stop)
        relay.start()
        lanes = [Lane(name=BASELINE, bootstrap=f"127.0.0.1:{broker.relay_port}", pid=relay.pid, masked=False)]
        missing = []
        try:
            balancer = haproxy(home, port=before_haproxy, upstream=behind_haproxy)
            stack.callback(balancer.stop)
            balancer.start()
            eventually(lambda: _listens(before_haproxy), what="HAProxy listening")
        except (HaproxyUnavailable, RuntimeError, AssertionError, OSError) as error:
            missing.append(missing_lane(HAPROXY, error))
        else:
            lanes.append(Lane(name=HAPROXY, bootstrap=f"127.0.0.1:{before_haproxy}", pid=balancer.pid, masked=False))

        proxy = ProxyProcess(
            home=home / "proxy",
            upstream=cluster.bootstrap,
            rules=records.rules(produce="masked-produce-*", fetch="masked-fetch-*"),
            settings={"log": {"level": "info"}},
        )
        stack.callback(proxy.dispose)
        proxy.start()
        eventually(lambda: _listens(broker.relay_port), what=f"the relay listening\n{relay.tail()}")
        lanes += [Lane(name=target.name, bootstrap=target.address, pid=target.pid, masked=False) for target in targets]
        lanes += [
            Lane(name=NO_RULE, bootstrap=proxy.bootstrap, pid=proxy.pid, masked=False),
            Lane(name=RULE, bootstrap=proxy.bootstrap, pid=proxy.pid, masked=True),
        ]
        yield Stage(kafka=cluster, lanes=lanes, proxy=proxy, missing=missing)


def missing_lane(name: str, error: Exception) -> Failed:
    """A lane that is left out: excused if its program cannot be had here, unless it is required."""
    is_excused = isinstance(error, HaproxyUnavailable) and os.environ.get(REQUIRED) != "1"
    return Failed(part=f"lane {name}", why=str(error), is_excused=is_excused)


def in_turn(lanes: Sequence[Lane], number: int) -> list[Lane]:
    """The lanes for a round: each begins with another, so that what the machine does besides falls on all."""
    return [*lanes[number % len(lanes) :], *lanes[: number % len(lanes)]]


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
