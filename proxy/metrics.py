"""Every metric of the process, in one place, so that a dashboard's author reads one file.

Labels are bounded: names of rules, apis and reasons, never a client id, principal, topic or value. Children are made
once; the data path adds to them once a frame, not once a record.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

connections = Gauge("wiremask_open_connections", "Client connections that are open.")
connections_total = Counter("wiremask_connections_total", "Client connections accepted.")
connections_closed = Counter(
    "wiremask_connections_closed_total", "Client connections that ended, by what ended them.", ["reason"]
)
requests = Counter("wiremask_requests_total", "Requests read from clients.", ["api"])
received_bytes = Counter("wiremask_received_bytes_total", "Bytes of frames read.", ["peer"])

masked_fields = Counter("wiremask_masked_fields_total", "Fields masked.", ["rule", "at"])
masked_values = Counter("wiremask_masked_values_total", "Record values whose bytes a mask changed.", ["at"])
refused_values = Counter("wiremask_refused_values_total", "Record values that a rule did not let pass.", ["at"])
unreadable_values = Counter(
    "wiremask_unreadable_values_total", "Record values that could not be read, replaced by the marker.", ["at"]
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

ruleset_generation = Gauge("wiremask_ruleset_generation", "Counts the rulesets applied since the start.")
ruleset_rules = Gauge("wiremask_ruleset_rules", "Rules in the current ruleset.")
ruleset_reloads = Counter("wiremask_ruleset_reloads_total", "Reloads, by outcome.", ["outcome"])

ready = Gauge("wiremask_ready", "1 when rules are loaded, a broker answered and the process is not draining.")
