"""All that touches the outside: sockets, files, the clock, logs, metrics, the command line.

The way of a frame, file by file:

    listener.py      a port is bound for the bootstrap address and for each broker node
    acceptor.py      a client is taken, if there is a file descriptor for it
    connection.py    a client comes; its one upstream connection is opened; frames are cut, held, written
    session.py       which answer belongs to which request, and whose turn it is
    identity.py      who the client is, from the login that passes
    pipeline.py      what a frame means and what becomes of it: the data path, top to bottom
    topics.py        the names of topic ids
    masking.py       the records of one partition: batches in, masked batches out
    upstream.py      where the brokers are

Around it:

    server.py        the process: builds all of this, serves, drains
    probe.py         does the cluster answer, and where are its nodes
    reload.py        the current ruleset, and its hot reload (loading.py, rulefiles.py, watch.py, keyfiles.py)
    admin.py         /livez, /readyz, /metrics (health.py, metrics.py)
    config.py        the sections of the configuration, each declared by the component that it configures
    log.py           one line an event, never payload
    cli.py           the command `wiremask` (commands/)
    inprocess.py     `wiremask.load()`: the same masks without a proxy

`protocol` and `rules` do the work on bytes and values; they know neither this package nor each other.
"""
