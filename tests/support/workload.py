"""The one workload that every client library runs, and what must come of it.

It has what a proxy can get wrong for a whole client: topics made and described, records with and without key, headers,
a tombstone, compression, idempotence, a record of 10 MB, 200 partitions in one request, a group that commits, a
rebalance, transactions that commit and that abort, and the end of it all.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.programs import Step

Record = dict[str, Any]

PARTITIONS = 4
WIDE = 200
LARGE_BYTES = 10 * 1024 * 1024
FIRST_MS = 1_700_000_000_000


def record(number: int, *, partition: int = 0, key: str | None = "", value: str | None = "", times: int = 1) -> Record:
    """A record to be sent; number, key and value tell it from others."""
    return {
        "partition": partition,
        "key": f"key-{number}" if key == "" else key,
        "value": f'{{"id": {number}, "name": "M\\u00fcller \\/ Co",\t"balance": 12.340000000000000001}}'
        if value == ""
        else value,
        "times": times,
        "headers": [["source", "web"], ["trace", f"ä-{number}"]],
        "timestamp": FIRST_MS + number,
    }


def as_read(sent: Record, *, offset: int) -> Record:
    """The record as a consumer must tell of it."""
    value = None if sent["value"] is None else sent["value"].encode() * sent["times"]
    return {
        "partition": sent["partition"],
        "offset": offset,
        "key": sent["key"],
        "size": None if value is None else len(value),
        "sha256": None if value is None else hashlib.sha256(value).hexdigest(),
        "headers": sent["headers"],
        "timestamp": sent["timestamp"],
    }


SMALL = [
    *(record(number, partition=number % PARTITIONS) for number in range(16)),
    record(16, key=None),
    record(17, value=None),  # a tombstone
    record(18, key="empty", value="x", times=0),
]
SQUEEZED = [record(number, partition=number % PARTITIONS) for number in range(100, 180)]
SAFE = [record(number, partition=number % PARTITIONS) for number in range(200, 220)]
LARGE = [record(300, value="0123456789abcdef", times=LARGE_BYTES // 16)]
EVERYWHERE = [record(number, partition=number - 1000) for number in range(1000, 1000 + WIDE)]
COMMITTED = [record(number) for number in range(400, 410)]
ABORTED = [record(number) for number in range(410, 415)]
LATER = [record(number) for number in range(415, 420)]


def steps(stem: str) -> dict[str, Step]:
    """The steps by name, in order; all topics and groups have names that begin with `stem`."""
    main, wide, moved = f"{stem}-main", f"{stem}-wide", f"{stem}-moved"
    sending = {"acks": "all", "codec": "none", "idempotent": False, "linger": 20}
    reading = {"isolation": "read_uncommitted", "protocol": "classic"}
    of_main = len(SMALL) + len(SQUEEZED) + len(SAFE) + len(LARGE)
    return {
        "create": {
            "do": "create",
            "topics": [
                {"name": main, "partitions": PARTITIONS, "config": {"max.message.bytes": "12000000"}},
                {"name": wide, "partitions": WIDE, "config": {}},
                {"name": moved, "partitions": 1, "config": {}},
            ],
        },
        "small": {"do": "produce", "topic": main, "records": SMALL, **sending},
        "squeezed": {"do": "produce", "topic": main, "records": SQUEEZED, **sending, "codec": "gzip"},
        "safe": {"do": "produce", "topic": main, "records": SAFE, **sending, "idempotent": True},
        "large": {"do": "produce", "topic": main, "records": LARGE, **sending},
        "everywhere": {"do": "produce", "topic": wide, "records": EVERYWHERE, **sending, "linger": 300},
        "read": {"do": "consume", "topic": main, "count": of_main, "group": f"{stem}-group", **reading},
        "read everywhere": {"do": "consume", "topic": wide, "count": WIDE, "group": f"{stem}-wide-group", **reading},
        "inspect": {
            "do": "inspect",
            "topic": main,
            "config": "max.message.bytes",
            "group": f"{stem}-group",
            "partitions": PARTITIONS,
        },
        "transactions": {
            "do": "transact",
            "topic": moved,
            "id": f"{stem}-transactions",
            "rounds": [
                {
                    "records": COMMITTED,
                    "end": "commit",
                    "offsets": {"group": f"{stem}-moved-group", "topic": main, "partition": 0, "offset": 7},
                },
                {"records": ABORTED, "end": "abort"},
                {"records": LATER, "end": "commit"},
            ],
        },
        "read committed": {
            "do": "consume",
            "topic": moved,
            "count": len(COMMITTED) + len(LATER),
            "group": f"{stem}-committed-group",
            **reading,
            "isolation": "read_committed",
        },
        "rebalance": {
            "do": "rebalance",
            "topic": main,
            "group": f"{stem}-members",
            "partitions": PARTITIONS,
            "protocol": "classic",
        },
        "delete": {"do": "delete", "topics": [wide]},
    }


def steps_of_newer_groups(stem: str, *, share: bool) -> dict[str, Step]:
    """The same for groups whose members the broker assigns (KIP-848), and with `share` for share groups (KIP-932)."""
    topic, group = f"{stem}-assigned", f"{stem}-assigned-group"
    sent = [record(number, partition=number % PARTITIONS) for number in range(40)]
    reading = {"topic": topic, "group": group, "protocol": "consumer"}
    return {
        "create": {"do": "create", "topics": [{"name": topic, "partitions": PARTITIONS, "config": {}}]},
        "send": {
            "do": "produce",
            "topic": topic,
            "records": sent,
            "acks": "all",
            "codec": "none",
            "idempotent": False,
            "linger": 20,
        },
        "read": {"do": "consume", "count": len(sent), "isolation": "read_uncommitted", **reading},
        "rebalance": {"do": "rebalance", "partitions": PARTITIONS, **reading, "group": f"{stem}-assigned-members"},
        **({"share": {"do": "share", "topic": topic, "group": share_group(stem), "count": len(sent)}} if share else {}),
    }


def share_group(stem: str) -> str:
    """The share group of `steps_of_newer_groups`, for who sets where it begins."""
    return f"{stem}-shared"


def expected(node: int, address: str) -> dict[str, Any]:
    """What each step must give; `address` is where clients are told that the only broker, `node`, is."""
    placed: dict[int, list[Record]] = {partition: [] for partition in range(PARTITIONS)}
    stored: dict[str, list[list[int]]] = {}
    for name, sent in {"small": SMALL, "squeezed": SQUEEZED, "safe": SAFE, "large": LARGE}.items():
        stored[name] = []
        for item in sent:
            stored[name].append([item["partition"], len(placed[item["partition"]])])
            placed[item["partition"]].append(item)
        stored[name].sort()
    return {
        "create": "created",
        **stored,
        "everywhere": [[partition, 0] for partition in range(WIDE)],
        "read": [as_read(item, offset=offset) for part in placed.values() for offset, item in enumerate(part)],
        "read everywhere": [as_read(item, offset=0) for item in EVERYWHERE],
        "inspect": {
            "partitions": PARTITIONS,
            "config": "12000000",
            "committed": [[partition, len(part)] for partition, part in placed.items()],
            "brokers": [[node, address]],
        },
        "transactions": ["committed", "aborted", "committed"],
        # An offset is taken by the mark that ends each transaction.
        "read committed": [
            *(as_read(item, offset=offset) for offset, item in enumerate(COMMITTED)),
            *(as_read(item, offset=offset) for offset, item in enumerate(LATER, len(COMMITTED) + 1 + len(ABORTED) + 1)),
        ],
        "rebalance": {"alone": PARTITIONS, "shared": PARTITIONS, "again": PARTITIONS},
        "delete": "deleted",
    }
