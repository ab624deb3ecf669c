"""The records of one partition: keys, values and headers masked, records refused or left out."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import pytest
from aiokafka.record import _crecords as aio
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from wiremask.protocol.batch import Batch, read_header, split_batches
from wiremask.protocol.errors import ErrorCode, InvalidRecords
from wiremask.proxy import masking, metrics
from wiremask.proxy.budget import Budget, Claim
from wiremask.proxy.masking import Allowance, Pieces, RecordsRefused, Work, mask_fetched, mask_produced
from wiremask.rules import Direction, TopicPlan, compile_ruleset

START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
ALL_PARTS = (
    "value: {fields: [{path: $.a, mask: partial}]}, key: {format: text, fields: [{path: $, mask: {truncate: 1}}]}, "
    "headers: [{name: 'x-*', mask: redact}, {name: gone, mask: drop}]"
)


class Nobody:
    """Holds memory and is never cut."""

    progress = None

    def cut(self, reason: str) -> None:
        raise AssertionError(reason)


class Row(NamedTuple):
    """One record of offset delta, key, value and headers."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


ROWS = [
    Row(0, b"key", b'{"a":"x"}', [("x-1", b"h"), ("gone", b"h"), ("other", b"h")]),
    Row(1, None, None, []),
    Row(4, b"", b'{"b":1}', [("gone", None), ("x-2", None)]),
]
MASKED = [
    Row(0, b"k", b'{"a":"*"}', [("x-1", b"[redacted]"), ("other", b"h")]),
    Row(1, None, None, []),
    Row(4, b"", b'{"b":1}', [("x-2", None)]),
]


def compiled(rule: str, at: Direction) -> TopicPlan:
    text = START + f"  - {{name: r, topics: [t], at: [{at}], {rule}}}\n"
    plan = compile_ruleset({"r": text}, lambda _: "").match("t", at)
    assert plan is not None
    return plan


def batch(rows: list[Row], codec: int = 0) -> bytes:
    builder = aio.DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for row in rows:
        builder.append(row.offset, 1_700_000_000_000, row.key, row.value, row.headers)
    return bytes(builder.build())


def work(*, output_bytes: int = 1 << 30) -> Work:
    charge = partial(Budget(1 << 24).charge, owner=Nobody())
    return Work(Allowance(limit_bytes=1 << 20, is_final=True, charge=charge, output_bytes=output_bytes))


def rows_of(pieces: Pieces | None) -> list[Row]:
    assert pieces is not None
    return [
        Row(row.offset, row.key, row.value, list(row.headers))
        for piece in pieces
        if read_header(piece).count
        for row in aio.DefaultRecordBatch(bytearray(piece))
    ]


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4], ids=["plain", "gzip", "snappy", "lz4", "zstd"])
def test_masks_all_parts_and_keeps_offsets(codec: int) -> None:
    records = memoryview(batch(ROWS, codec))
    dense = memoryview(batch([row._replace(offset=i) for i, row in enumerate(ROWS)], codec))

    fetched = mask_fetched(records, compiled(ALL_PARTS, "fetch"), work())
    produced = mask_produced(dense, compiled(ALL_PARTS, "produce"), work())

    assert rows_of(fetched) == MASKED
    assert rows_of(produced) == [row._replace(offset=i) for i, row in enumerate(MASKED)]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("key: {format: text, fields: [{path: $, mask: redact}]}", "the key cannot be read"),
        ("headers: [{name: '*', mask: redact}]", "the headers cannot be read"),
    ],
    ids=["key", "headers"],
)
def test_produce_refuses_records_by_key_and_headers(rule: str, why: str) -> None:
    records = batch([Row(0, b"k", b"v", [("h", b"v")]), Row(1, b"\xff", b"v", [("h", b"\xff"), ("i", b"\xff")])])

    with pytest.raises(RecordsRefused) as caught:
        mask_produced(memoryview(records), compiled(rule, "produce"), work())

    assert [index for index, _ in caught.value.record_errors] == [1]
    assert why in str(caught.value)


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4], ids=["plain", "gzip", "snappy", "lz4", "zstd"])
def test_fetch_omits_records_that_cannot_be_masked_and_keeps_offsets(codec: int) -> None:
    rule = ALL_PARTS + ", onUnreadable: omit, onUnmaskable: omit"
    rows = [
        *ROWS[:2],
        Row(3, b"k", b'{"a":1}', [("gone", b"h")]),
        Row(5, b"k", b"{", []),
        Row(6, b"\xff", None, []),
        Row(7, b"k", None, [("x-1", b"\xff")]),
        Row(9, b"kk", b"{}", []),
    ]

    fetched = mask_fetched(memoryview(batch(rows, codec)), compiled(rule, "fetch"), work())

    assert rows_of(fetched) == [*MASKED[:2], Row(9, b"k", b"{}", [])]
    assert fetched is not None
    assert read_header(fetched[0]).last_offset_delta == 9


def test_batch_of_which_all_is_omitted_keeps_its_place() -> None:
    rule = "value: {fields: [{path: $.a, mask: redact}]}, onUnreadable: omit"
    records = batch([Row(0, None, b"x", []), Row(1, None, b"y", [])], codec=4) + batch([Row(0, None, b"{}", [])])

    fetched = mask_fetched(memoryview(records), compiled(rule, "fetch"), work())

    assert fetched is not None
    first, second = fetched
    assert (read_header(first).count, read_header(first).last_offset_delta, read_header(first).codec) == (0, 1, 0)
    assert Batch.read(first, 0, len(first), limit_bytes=0, dense_offsets=False).header.empty
    assert bytes(second) == batch([Row(0, None, b"{}", [])])


def test_message_sets_have_their_keys_masked_and_redact_what_would_be_omitted() -> None:
    builder = LegacyRecordBatchBuilder(magic=1, compression_type=1, batch_size=1 << 16)
    builder.append(0, timestamp=9, key=b"key", value=b'{"a":"x"}')
    builder.append(1, timestamp=9, key=None, value=b"{")
    builder.append(2, timestamp=9, key=b"\xff", value=None)
    rule = ALL_PARTS + ", onUnreadable: omit"

    pieces = mask_fetched(memoryview(bytes(builder.build())), compiled(rule, "fetch"), work())

    assert pieces is not None
    reader = aio.LegacyRecordBatch(bytearray(pieces[0]), 1)
    assert [(row.offset, row.key, row.value) for row in reader] == [
        (0, b"k", b'{"a":"*"}'), (1, None, b'{"wiremask":"unreadable"}'), (2, b"[unreadable]", None)
    ]  # fmt: skip


def test_refuses_more_headers_than_are_looked_at_only_where_a_rule_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "HEADERS_LIMIT", 2)
    records = memoryview(batch([Row(0, b"k", b"{}", [("h", b"")] * 3)]))

    with pytest.raises(InvalidRecords, match="a batch of 3 headers"):
        mask_produced(records, compiled("headers: [{name: x, mask: redact}]", "produce"), work())
    assert mask_produced(records, compiled("value: {fields: [{path: $.a, mask: redact}]}", "produce"), work()) is None


def test_batch_stays_as_it_is_if_no_part_of_it_changes() -> None:
    records = batch([Row(0, b"k", b"{}", [("other", b"h")]), Row(1, None, None, [])])

    assert mask_produced(memoryview(records), compiled(ALL_PARTS, "produce"), work()) is None
    assert mask_fetched(memoryview(records), compiled(ALL_PARTS, "fetch"), work()) is None
    assert len(split_batches(records, partial_tail=False)) == 1


def test_metrics_tell_what_was_masked_omitted_and_only_observed() -> None:
    rule = ALL_PARTS + ", onUnreadable: omit"
    observing = "  - {name: o, topics: [t], at: [fetch], mode: observe, value: {fields: [{path: $.b, mask: redact}]}}\n"
    text = START + f"  - {{name: r, topics: [t], at: [fetch], {rule}}}\n" + observing
    plan = compile_ruleset({"r": text}, lambda _: "").match("t", "fetch")
    assert plan is not None
    before = counts()
    doing = work()

    mask_fetched(memoryview(batch([*ROWS, Row(5, None, b"{", [])])), plan, doing)
    doing.tell()

    told = {key: count - before.get(key, 0) for key, count in counts().items() if count != before.get(key, 0)}
    assert told == {
        ("r", "fetch"): 6,
        "unreadable": 1,
        ("o", "$.b", "fetch"): 1,
        ("o", "unreadable", "fetch"): 1,
    }


def counts() -> dict[object, int]:
    tallies = (
        metrics.masked_fields, metrics.omitted_records, metrics.observed_fields, metrics.observed_failures
    )  # fmt: skip
    return {key: count for tally in tallies for key, count in tally.counts.items()}


GROWING = "value: {fields: [{path: $.a, mask: {fixed: twelve-times}}]}"
ONE = batch([Row(0, None, b'{"a":"x"}', [])])
ONE_MASKED = len(ONE) + len("twelve-times") - 1


@pytest.mark.parametrize(("room", "is_refused"), [(3 * ONE_MASKED, False), (3 * ONE_MASKED - 1, True)])
def test_masks_make_no_more_of_a_produced_frame_than_a_frame_may_be(room: int, is_refused: bool) -> None:
    plan, records, attempt = compiled(GROWING, "produce"), memoryview(ONE * 2), work(output_bytes=room)

    first = mask_produced(memoryview(ONE), plan, attempt)
    try:
        second = mask_produced(records, plan, attempt)
    except masking.Outgrown as error:
        second, code = None, error.kafka_code
    else:
        code = ErrorCode.NONE

    assert first is not None
    assert (second is None) == is_refused
    assert code == (ErrorCode.MESSAGE_TOO_LARGE if is_refused else ErrorCode.NONE)


@pytest.mark.parametrize(
    ("enough", "kept"),
    [(0, [1, 0]), (ONE_MASKED - 1, [1, 0]), (ONE_MASKED, [2, 0]), (3 * ONE_MASKED, [2, 2]), (99 * ONE_MASKED, [2, 2])],
)
def test_masks_no_more_for_a_reader_than_it_gets(enough: int, kept: list[int]) -> None:
    plan, attempt = compiled(GROWING, "fetch"), work()
    attempt.enough_bytes = enough

    fetched = [mask_fetched(memoryview(ONE * 2), plan, attempt) for _ in range(2)]

    assert [len(pieces or ()) for pieces in fetched] == kept


def test_a_batch_is_counted_with_what_it_may_expand_to_before_it_expands() -> None:
    budget = Budget(1 << 24)
    seen: list[int] = []

    def charge(count: int) -> Claim:
        seen.append(count)
        return budget.charge(count, Nobody())

    attempt = Work(Allowance(limit_bytes=1 << 20, is_final=True, charge=charge))

    mask_produced(memoryview(batch(ROWS[:2], codec=1)), compiled(ALL_PARTS, "produce"), attempt)

    assert seen == [1 << 20]
    assert budget.taken_bytes == 0
