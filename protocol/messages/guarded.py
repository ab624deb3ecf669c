"""Requests that may destroy what is stored, read to the last byte: proxy and broker see the same resources in them."""

from __future__ import annotations

from wiremask.protocol.view import Message


class DeleteTopicsRequest(Message):
    """Topics that are to go, by name or (from version 6 on) by id."""


class DeleteRecordsRequest(Message):
    """Partitions whose records before an offset are to go."""


class AlterConfigsRequest(Message):
    """Settings that are to take the place of all that a resource had."""


class IncrementalAlterConfigsRequest(Message):
    """Settings that are to change, one by one (KIP-339)."""
