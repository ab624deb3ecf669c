"""`wiremask demo`: records leave a producer in clear, lie masked on a broker, and reach a consumer masked.

What runs is the real thing: `wiremask run` as a process of its own, and aiokafka clients that are given its address
and know nothing else of it. The broker is the mock cluster inside confluent-kafka or, with `--bootstrap`, a real one.
The demo checks what it shows: it reads the broker directly, and fails if a secret is stored there or if a byte changed
that no rule names. It leaves nothing behind.

    story.py      the order of events
    cluster.py    the broker, and a topic of the demo's own
    process.py    `wiremask run` before it, and a change of its rules
    journey.py    the records: sent, stored, read, and what may differ between these
    screen.py     what the terminal shows
"""

from wiremask.proxy.demo.story import main

__all__ = ["main"]
