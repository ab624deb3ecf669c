"""Every metric of the process, in one place, so that a dashboard's author reads one file.

Labels are bounded: names of rules, apis and reasons, never a client id, principal, topic or value. The data
path adds to them once a frame, not once a record.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator


class Tally(Collector):
    """A counter that the data path adds to with every frame: a plain integer for each value of its labels.

    prometheus_client's own counters take a lock and some calls each time, which is half of what a small frame costs.
    Whoever scrapes runs on the event loop. What worker threads add to as well is added to under `TELLING`.

    Attributes:
        counts: by the value of the one label, or by a tuple of values where there are more.
    """

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._described = name, documentation, labels
        self.counts: defaultdict[str | tuple[str, ...], int] = defaultdict(int)
        REGISTRY.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What prometheus_client asks for at each scrape."""
        name, documentation, labels = self._described
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in list(self.counts.items()):
            family.add_metric([values] if isinstance(values, str) else values, count)
        yield family


TELLING = Lock()

connections = Gauge("wiremask_open_connections", "Client connections that are open.")
connections_total = Counter("wiremask_connections_total", "Client connections accepted.")
connections_closed = Counter(
    "wiremask_connections_closed_total", "Client connections that ended, by what ended them.", ["reason"]
)
requests = Tally("wiremask_requests_total", "Requests read from clients.", "api")
received_bytes = Tally("wiremask_received_bytes_total", "Bytes of frames read.", "peer")

masked_fields = Tally("wiremask_masked_fields_total", "Fields masked.", "rule", "at")
masked_values = Tally("wiremask_masked_values_total", "Values, keys and headers whose bytes a mask changed.", "at")
refused_values = Tally("wiremask_refused_values_total", "Records that a rule did not let pass.", "at")
unreadable_values = Tally(
    "wiremask_unreadable_values_total", "Values, keys and headers that could not be read: a marker stands there.", "at"
)
omitted_records = Tally(
    "wiremask_omitted_records_total", "Records that a fetch left out, by what could not be done with them.", "reason"
)
observed_fields = Tally(
    "wiremask_observed_total", "Fields that a rule in mode observe would mask.", "rule", "field", "at"
)
observed_failures = Tally(
    "wiremask_observed_failures_total",
    "Records of which a part could not be masked, if a rule in mode observe were enforced.",
    "rule",
    "reason",
    "at",
)
refused_partitions = Counter(
    "wiremask_refused_partitions_total", "Partitions of a request or response that were refused.", ["at", "code"]
)
outgrown_partitions = Counter(
    "wiremask_outgrown_partitions_total", "Produced partitions that masks made too large for the broker."
)
refused_requests = Counter("wiremask_refused_requests_total", "Requests refused as a whole.", ["reason"])
topic_lookups = Counter("wiremask_topic_lookups_total", "Metadata requests of the proxy's own, for topic ids.")
nodes_outside_range = Counter(
    "wiremask_nodes_outside_range_total", "Broker nodes in a response that no listener port serves.", ["listener"]
)
nodes_unknown = Counter("wiremask_nodes_unknown_total", "Connections closed because no source knew the node's address.")
buffered_bytes = Gauge("wiremask_buffered_bytes", "Memory that frames take, of limits.bufferedBytes.")
frames_waiting = Gauge("wiremask_frames_waiting", "Large frames that wait for memory, unread.")

certificate_expires = Gauge(
    "wiremask_certificate_expires_timestamp_seconds",
    "When the certificate of a listener, or of upstream, ends.",
    ["use"],
)
file_reloads = Counter(
    "wiremask_file_reloads_total", "Reloads of certificates, keys and credentials, by outcome.", ["use", "outcome"]
)

ruleset_generation = Gauge("wiremask_ruleset_generation", "Counts the rulesets applied since the start.")
ruleset_rules = Gauge("wiremask_ruleset_rules", "Rules in the current ruleset.")
ruleset_reloads = Counter("wiremask_ruleset_reloads_total", "Reloads, by outcome.", ["outcome"])
ruleset_weaker = Counter(
    "wiremask_ruleset_weaker_total", "Rulesets that mask less than the one before, by what became of them.", ["outcome"]
)

ready = Gauge("wiremask_ready", "1 when rules are loaded, a broker answered and the process is not draining.")
