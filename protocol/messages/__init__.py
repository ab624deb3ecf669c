"""The messages that the proxy decodes, one file for each family.

A message is read by `read(body, version)`, which checks all of its bytes, and is changed by an `Edits` that it gives:
what no edit names is passed on as it came. `make` functions write the few messages that the proxy sends of its own.

    produce.py            Produce: records in, refusals merged into the broker's answer
    fetch.py              Fetch: limits lowered on the way out, records changed or withheld on the way back
    share.py              ShareFetch and ShareAcknowledge: records of share groups, addresses
    metadata.py           Metadata: broker addresses, topic ids; the look-ups of the proxy's own
    coordinator.py        FindCoordinator: broker addresses
    cluster.py            DescribeCluster: broker addresses
    topic.py              CreateTopics and DescribeTopicPartitions: topic ids
    guarded.py            requests that delete, or change settings
    checked.py            which requests are read and never changed
    api_versions.py       ApiVersions: what broker and proxy both know
    sasl.py               SaslHandshake and SaslAuthenticate: when a login is complete
    skims.py              which of these may go on as they are, looked at where they lie
    node.py               the addresses in all of these
    schemas/              definitions that kafka-python lacks
"""
