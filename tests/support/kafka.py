"""A real Apache Kafka for tests: the jars from Maven Central, and brokers in KRaft mode on loopback.

The jars are copied once per machine into `${XDG_CACHE_HOME:-~/.cache}/wiremask/kafka-VERSION/` (54 MB). A cluster is as many
combined broker-controllers as it has node ids; the suite uses one. Each broker has three listeners for clients:

- CLIENT, plaintext;
- SASL, plaintext with PLAIN (users `USER` and `OTHER_USER`, `PASSWORD`), SCRAM (users that a test adds; with SCRAM-SHA-512
  a login lasts `LOGIN_S`), delegation tokens, and OAUTHBEARER (tokens without a signature);
- RECORDED, plaintext, whose advertised port is not the bound one: `support.capture.Relay` stands there, so that a client
  that bootstraps from it is recorded on all its connections and no byte of its traffic had to be rewritten for that.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from confluent_kafka.cimpl import NewTopic

from support import ports
from support.capture import RawClient
from support.process import Child
from support.requests import fetch_frame, plain_frame, read_fetched, topic_id
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERSION = "4.3.1"
POM = Path(__file__).parent / "jars" / "pom.xml"
USER, OTHER_USER, PASSWORD = "alice", "bob", "alice-password"
LOGIN_S = 3
RECORD_LIMIT_BYTES = 32 * 1024 * 1024
MINIMUM_JAVA = 17
UNREGISTER_BROKER = 64
NO_TOPIC = uuid.UUID(int=0)

# Tests run short and side by side: the quick compiler and the small collector start a broker in half the time.
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


class KafkaUnavailable(Exception):
    """A real broker cannot be had on this machine; the text says why and what to install."""


def libraries() -> Path:
    """The folder with the broker's jars, filled on the first call on this machine.

    Parallel workers wait for the one that copies; the folder appears whole or not at all.

    Raises:
        KafkaUnavailable: Java 17+ or Maven is missing, or Maven could not get the jars.
    """
    _require_java()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wiremask"
    target = cache / f"kafka-{VERSION}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"kafka-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _copy_jars(cache, target)
    return target


def _require_java() -> None:
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailable(f"there is no java on the PATH; install a Java {MINIMUM_JAVA}+ runtime")
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    with contextlib.suppress(IndexError, ValueError):
        if int(shown.split('"')[1].split(".")[0].split("-")[0]) >= MINIMUM_JAVA:
            return
    raise KafkaUnavailable(
        f"Apache Kafka {VERSION} needs Java {MINIMUM_JAVA}+; found: {shown.strip().splitlines()[:1]}"
    )


def _copy_jars(cache: Path, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable(f"there is no mvn on the PATH and no {target}; install Maven")
    with tempfile.TemporaryDirectory(dir=cache, prefix="kafka-partial-") as partial:
        jars = Path(partial) / "jars"
        command = [maven, "-q", "-B", "-f", str(POM), f"-Dkafka.version={VERSION}", "dependency:copy-dependencies"]
        run = subprocess.run(
            [*command, f"-DoutputDirectory={jars}"], capture_output=True, text=True, check=False, cwd=partial
        )
        if run.returncode != 0 or not list(jars.glob("kafka_*.jar")):
            raise KafkaUnavailable(f"Maven could not copy the jars of Apache Kafka {VERSION}: {run.stdout[-2000:]}")
        jars.rename(target)


class KafkaBroker:
    """One node, broker and controller in one process; `start`, `stop`, `kill` and `start` again on the same data."""

    def __init__(self, *, jars: str, home: Path, node_id: int, block: ports.PortBlock) -> None:
        self.node_id = node_id
        self.home = home
        self.data = home / "data"
        self._jars = jars
        self.port, self.sasl_port, self.recorded_port, self.relay_port, self.controller_port = (
            block.take() for _ in range(5)
        )
        self._properties = home / "server.properties"
        self._child = Child(self._java("kafka.Kafka", str(self._properties)), log=home / "broker.log")

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child.running

    def prepare(self, *, cluster_id: str, settings: Mapping[str, str]) -> None:
        """Writes the configuration and formats the data folder.

        Raises:
            RuntimeError: the storage tool failed; the text is its output.
        """
        self.home.mkdir(parents=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        tool = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties))
        run = subprocess.run(tool, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"could not format node {self.node_id}: {run.stdout}{run.stderr}")

    def start(self, *, wait: bool = True) -> None:
        """Starts the process; with `wait`, returns when it answers clients and knows itself."""
        self._child.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, *, brokers: int = 1, timeout_s: float = 120.0) -> None:
        """Waits until this broker's Metadata lists at least so many brokers."""
        eventually(lambda: self._seen(brokers), timeout_s=timeout_s, what=f"node {self.node_id} ready\n{self.tail()}")

    def stop(self) -> None:
        """Controlled shutdown."""
        self._child.stop(timeout_s=30)

    def kill(self) -> None:
        """The end without a goodbye, as after a power cut (the system's page cache survives)."""
        self._child.kill()

    def restart(self, *, kill: bool = False) -> None:
        """Stops (or kills) and starts again on the same ports and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def move(self, relay_port: int) -> None:
        """Stops, and starts again as a broker that says that its RECORDED listener is at another port."""
        self.stop()
        settings = self._properties.read_text()
        self._properties.write_text(settings.replace(f":{self.relay_port}", f":{relay_port}"))
        self.relay_port = relay_port
        self.start()

    def pause(self) -> None:
        """Stops the process where it stands (SIGSTOP): connections stay open and nothing is read."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process run on."""
        self._child.signal(signal.SIGCONT)

    def tail(self) -> str:
        """The end of the broker's own log."""
        return self._child.tail()

    def _seen(self, brokers: int) -> bool:
        if not self._child.running:
            raise RuntimeError(f"node {self.node_id} ended with {self._child.exit_code}:\n{self.tail()}")
        return _count_brokers(self.port) >= brokers

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *JVM_FLAGS, f"-Dkafka.logs.dir={self.home}", "-cp", self._jars, *arguments]


class KafkaCluster:
    """Brokers with the given node ids; every one is a voter of the controller quorum.

    Args:
        plugins: what is on the class path before the broker's jars.
    """

    def __init__(
        self,
        *,
        home: Path,
        node_ids: Sequence[int] = (3,),
        settings: Mapping[str, str] | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        self._jars = ":".join((*plugins, f"{libraries()}/*"))
        self._home = home
        self._id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        self._blocks = {node_id: ports.reserve() for node_id in node_ids}
        self.brokers = {node_id: self._make(node_id) for node_id in node_ids}
        self._voters = dict(self.brokers)
        self._settings = dict(settings or {})
        self.more_listeners: dict[str, tuple[int, int]] = {}
        """Further plaintext listeners of every broker: name -> bound port, advertised port. Set before the start."""
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port,...` of the plaintext listeners."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers.values())

    @property
    def sasl_bootstrap(self) -> str:
        """`host:port,...` of the listeners that ask for SASL PLAIN."""
        return ",".join(f"127.0.0.1:{broker.sasl_port}" for broker in self.brokers.values())

    @property
    def recorded_bootstrap(self) -> str:
        """`host:port,...` of the listeners that advertise a port of the tests' own."""
        return ",".join(f"127.0.0.1:{broker.recorded_port}" for broker in self.brokers.values())

    @property
    def broker(self) -> KafkaBroker:
        """The only broker of a cluster of one."""
        (broker,) = self.brokers.values()
        return broker

    @property
    def log_dirs(self) -> dict[int, Path]:
        """The data folder of each node."""
        return {node_id: broker.data for node_id, broker in self.brokers.items()}

    @property
    def admin(self) -> AdminClient:
        """An admin client that talks to the brokers directly."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def start(self) -> None:
        """Formats and starts all brokers, and waits until each knows of all."""
        for broker in self.brokers.values():
            broker.prepare(cluster_id=self._id, settings=self._settings_of(broker))
        for broker in self.brokers.values():
            broker.start(wait=False)
        for broker in self.brokers.values():
            broker.wait_ready(brokers=len(self.brokers))

    def add(self, node_id: int) -> KafkaBroker:
        """One more broker, which is no controller, and which the others know when this returns."""
        self._blocks[node_id] = ports.reserve()
        broker = self.brokers[node_id] = self._make(node_id)
        broker.prepare(cluster_id=self._id, settings=self._settings_of(broker))
        broker.start(wait=False)
        for known in self.brokers.values():
            known.wait_ready(brokers=len(self.brokers))
        return broker

    def remove(self, node_id: int) -> None:
        """Stops a broker that was added, and has the others forget it: new replicas would be placed on it still."""
        self.brokers.pop(node_id).stop()
        self._blocks.pop(node_id).release()
        frame = plain_frame(UNREGISTER_BROKER, 0, struct.pack(">ib", node_id, 0), flexible=True)
        with RawClient(f"127.0.0.1:{next(iter(self._voters.values())).port}") as client:
            code = client.ask(frame)[9:11]  # after the header (flexible) and the throttle time
        assert code == b"\x00\x00", f"node {node_id} is still registered"

    def stop(self) -> None:
        """Ends all brokers; what they stored goes with pytest's temporary folder."""
        self._admin = None
        for broker in self.brokers.values():
            broker.kill()
        for block in self._blocks.values():
            block.release()

    def create_topic(self, name: str, *, partitions: int = 1, replication: int = 1, **config: str) -> str:
        """Creates a topic and waits until it has leaders; `config` names have underscores for dots.

        Raises:
            confluent_kafka.KafkaException: the broker refused.
        """
        settings = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=settings)
        try:
            self._wait_for(self.admin.create_topics([topic], operation_timeout=10))
        except KafkaException as error:
            # librdkafka asks again where the answer was lost, as it is when a broker has just been restarted.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

        self.wait_led(name, partitions)
        return name

    def wait_led(self, topic: str, partitions: int) -> None:
        """Waits until every broker knows a topic, and every partition of it has a leader that serves it."""
        eventually(lambda: NO_TOPIC not in self._ids(topic), what=f"{topic} known to every broker")
        eventually(lambda: self._is_led(topic, partitions), what=f"leaders of {topic}")

    def add_scram_user(self, name: str, password: str) -> None:
        """Lets a user log in with either SCRAM mechanism."""
        changes = [
            UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, 4096), password.encode())
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        self._wait_for(self.admin.alter_user_scram_credentials(changes[:1]))
        self._wait_for(self.admin.alter_user_scram_credentials(changes[1:]))

    def delete_topic(self, name: str) -> None:
        """Deletes a topic and waits until no broker knows it (a client may have made it anew by then)."""
        known = self._ids(name)
        self._wait_for(self.admin.delete_topics([name], operation_timeout=10))
        eventually(lambda: self._ids(name).isdisjoint(known), what=f"{name} forgotten by every broker")

    def segments(self, topic: str) -> dict[int, bytes]:
        """What is stored: for each partition the bytes of its log segments, in offset order.

        Read from the leaderless file system, so with several brokers the replica with the most bytes is given.
        """
        stored: dict[int, bytes] = {}
        for data in self.log_dirs.values():
            for folder in data.glob(f"{topic}-*"):
                name, _, partition = folder.name.rpartition("-")
                if name != topic or not partition.isdecimal():
                    continue
                content = b"".join(file.read_bytes() for file in sorted(folder.glob("*.log")))
                stored[int(partition)] = max(stored.get(int(partition), b""), content, key=len)
        return stored

    def stored_anywhere(self, secret: bytes) -> list[str]:
        """The files under the data folders that hold `secret`, segments of internal topics and indexes included."""
        return [
            str(file)
            for data in self.log_dirs.values()
            for file in data.rglob("*")
            if file.is_file() and secret in file.read_bytes()
        ]

    def _ids(self, topic: str) -> set[uuid.UUID]:
        """What each running broker says that the topic's id is."""
        found = set()
        for broker in self.brokers.values():
            if broker.running:
                with RawClient(f"127.0.0.1:{broker.port}") as client:
                    found.add(topic_id(client, topic))
        return found

    def _is_led(self, topic: str, partitions: int) -> bool:
        """Whether every partition has a leader that serves it.

        A broker is named as the leader in Metadata a moment before it takes the part; a raw client, which does not retry,
        would meet NOT_LEADER_OR_FOLLOWER in between.
        """
        found = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        if len(found) != partitions:
            return False
        for number, partition in found.items():
            if partition.leader not in self.brokers:
                return False
            with RawClient(f"127.0.0.1:{self.brokers[partition.leader].port}") as client:
                answer = client.ask(fetch_frame(topic, partition=number, version=11, wait_ms=0))
            if read_fetched(answer, 11)[number].error_code != 0:
                return False
        return True

    def _make(self, node_id: int) -> KafkaBroker:
        home = self._home / f"node-{node_id}"
        return KafkaBroker(jars=self._jars, home=home, node_id=node_id, block=self._blocks[node_id])

    def _settings_of(self, broker: KafkaBroker) -> dict[str, str]:
        copies = str(min(3, len(self._voters)))
        is_voter = broker.node_id in self._voters
        listeners = {"CLIENT": broker.port, "SASL": broker.sasl_port, "RECORDED": broker.recorded_port}
        if is_voter:
            listeners["CONTROLLER"] = broker.controller_port
        advertised = {"CLIENT": broker.port, "SASL": broker.sasl_port, "RECORDED": broker.relay_port}
        for name, (bound, shown) in self.more_listeners.items():
            listeners[name], advertised[name] = bound, shown
        protocols = {name: "SASL_PLAINTEXT" if name == "SASL" else "PLAINTEXT" for name in (*listeners, "CONTROLLER")}
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, OTHER_USER))
        login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=x;"
        return {
            "process.roles": "broker,controller" if is_voter else "broker",
            "node.id": str(broker.node_id),
            "broker.rack": f"rack-{broker.node_id}",
            "controller.quorum.voters": ",".join(
                f"{node.node_id}@127.0.0.1:{node.controller_port}" for node in self._voters.values()
            ),
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in advertised.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl.plain.sasl.jaas.config": login,
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl.scram-sha-512.connections.max.reauth.ms": str(LOGIN_S * 1000),
            "listener.name.sasl.oauthbearer.sasl.jaas.config": oauth,
            "delegation.token.secret.key": "a secret of the tests",
            "log.dirs": str(broker.data),
            # One partition of each internal topic: fifty of them are what makes a first group or transaction slow.
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # Groups that the broker assigns change at a heartbeat, which is every five seconds by default.
            "group.consumer.min.heartbeat.interval.ms": "300",
            "group.consumer.heartbeat.interval.ms": "300",
            "auto.create.topics.enable": "true",
            "message.max.bytes": str(RECORD_LIMIT_BYTES),
            "replica.fetch.max.bytes": str(RECORD_LIMIT_BYTES),
            # Tests write records of any age; none may vanish under them.
            "log.retention.ms": "-1",
            "log.cleaner.dedupe.buffer.size": "8388608",
            # A broker that was killed is let in again after its session: do not wait nine seconds for that.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "300",
            "num.network.threads": "2",
            "num.io.threads": "4",
            **self._settings,
        }

    @staticmethod
    def _wait_for(results: Mapping[Any, Future[Any]]) -> None:
        for result in results.values():
            result.result(timeout=60)


@contextlib.contextmanager
def running_cluster(
    home: Path, *, node_ids: Sequence[int] = (3,), plugins: Sequence[str] = (), **settings: str
) -> Iterator[KafkaCluster]:
    """A cluster for the length of a `with` block.

    Raises:
        KafkaUnavailable: there is no Java, Maven or Kafka here.
    """
    names = {name.replace("_", "."): value for name, value in settings.items()}
    cluster = KafkaCluster(home=home, node_ids=node_ids, settings=names, plugins=plugins)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _count_brokers(port: int) -> int:
    """Asks for Metadata (version 1, no topics) over a socket of our own, because clients log what is not yet there.

    Layout of the answer: size, correlation id, then the array of brokers, whose count comes first.
    """
    request = struct.pack(">hhihi", 3, 1, 0, -1, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
        sock.sendall(struct.pack(">i", len(request)) + request)
        answer = b""
        while len(answer) < 12:
            piece = sock.recv(12 - len(answer))
            if not piece:
                return 0
            answer += piece
    count: int = struct.unpack_from(">i", answer, 8)[0]
    return count
