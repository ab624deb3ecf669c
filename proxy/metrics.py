"""Every metric of the process, in one place, so that a dashboard's author reads one file.

Labels are bounded: names of rules, apis and reasons, never a client id, topic or value, and a principal only in the one
metric that an operator asks for (`principals.py`). The data path adds to them once a frame, not once a record.
"""

from __future__ import annotations

from threading import Lock

from wiremask.proxy.measures import counter, gauge

TELLING = Lock()
"""Held by whoever adds what masking came to: that may be a worker thread."""

connections = gauge("wiremask_open_connections", "Client connections that are open.")
connections_total = counter("wiremask_connections_total", "Client connections accepted.")
connections_closed = counter(
    "wiremask_connections_closed_total", "Client connections that ended, by what ended them.", "reason"
)
accept_pauses = counter(
    "wiremask_accept_pauses_total", "Times that no client was taken for a while, because file descriptors ran out."
)
requests = counter("wiremask_requests_total", "Requests read from clients.", "api")
received_bytes = counter("wiremask_received_bytes_total", "Bytes of frames read.", "peer")

masked_fields = counter("wiremask_masked_fields_total", "Fields masked.", "rule", "at")
masked_values = counter("wiremask_masked_values_total", "Values, keys and headers whose bytes a mask changed.", "at")
refused_values = counter(
    "wiremask_refused_values_total", "Records that a rule did not let pass.", "at", known=("produce",)
)
unreadable_values = counter(
    "wiremask_unreadable_values_total", "Values, keys and headers that could not be read: a marker stands there.", "at"
)
omitted_records = counter(
    "wiremask_omitted_records_total", "Records that a fetch left out, by what could not be done with them.", "reason"
)
observed_fields = counter(
    "wiremask_observed_total", "Fields that a rule in mode observe would mask.", "rule", "field", "at"
)
observed_failures = counter(
    "wiremask_observed_failures_total",
    "Records of which a part could not be masked, if a rule in mode observe were enforced.",
    "rule",
    "reason",
    "at",
)
refused_partitions = counter(
    "wiremask_refused_partitions_total", "Partitions of a request or response that were refused.", "at", "code"
)
outgrown_partitions = counter(
    "wiremask_outgrown_partitions_total", "Produced partitions that masks made too large for the broker."
)
refused_requests = counter("wiremask_refused_requests_total", "Requests refused as a whole.", "reason")
topic_lookups = counter("wiremask_topic_lookups_total", "Metadata requests of the proxy's own, for topic ids.")
nodes_outside_range = counter(
    "wiremask_nodes_outside_range_total", "Broker nodes in a response that no listener port serves.", "listener"
)
nodes_unknown = counter("wiremask_nodes_unknown_total", "Connections closed because no source knew the node's address.")
holds = counter(
    "wiremask_holds_total", "Times that a socket was not read for a while, by what was waited for.", "reason"
)
buffered_bytes = gauge("wiremask_buffered_bytes", "Memory that frames take, of limits.bufferedBytes.")
frames_waiting = gauge("wiremask_frames_waiting", "Large frames that wait for memory, unread.")
turns_waiting = gauge("wiremask_turns_waiting", "Frames that wait for a thread to be masked on, or for memory.")

certificate_expires = gauge(
    "wiremask_certificate_expires_timestamp_seconds",
    "When the certificate of a listener, or of upstream, ends.",
    "use",
)
file_reloads = counter(
    "wiremask_file_reloads_total", "Reloads of certificates, keys and credentials, by outcome.", "use", "outcome"
)

ruleset_generation = gauge("wiremask_ruleset_generation", "Counts the rulesets applied since the start.")
ruleset_rules = gauge("wiremask_ruleset_rules", "Rules in the current ruleset.")
ruleset_reloads = counter(
    "wiremask_ruleset_reloads_total", "Reloads, by outcome.", "outcome", known=("applied", "refused", "unchanged")
)
ruleset_weaker = counter(
    "wiremask_ruleset_weaker_total",
    "Rulesets that mask less than the one before, by what became of them.",
    "outcome",
    known=("allowed", "refused"),
)

ready = gauge("wiremask_ready", "1 when rules are loaded, a broker answered and the process is not draining.")
