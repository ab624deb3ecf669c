"""One workload with every client library through the proxy: all of it works, and every record arrives as it was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import workload
from support.kafka import KafkaCluster
from support.programs import NEW_TRANSACTIONS, Program

# The first run on a machine installs and compiles the client; a program that hangs is ended long before this.
pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200)]


def test_the_workload_gives_what_it_must(
    program: Program, run_workload: Callable[..., Any], kafka: KafkaCluster
) -> None:
    run = run_workload(program, "through")

    expected = workload.expected(kafka.broker.node_id, run.broker)
    assert run.results == {name: expected[name] for name in run.results}


def test_two_hundred_partitions_pass_in_one_request(program: Program, run_workload: Callable[..., Any]) -> None:
    conversation = run_workload(program, "through").conversation

    assert conversation.most_partitions("Fetch") == workload.WIDE
    assert conversation.most_partitions("Produce") == program.partitions_a_produce


def test_transactions_use_the_protocol_that_the_client_knows(
    program: Program, run_workload: Callable[..., Any]
) -> None:
    asked = dict(run_workload(program, "through").conversation.asked())

    # Version 2 (KIP-890): the broker adds partitions to a transaction by itself.
    new = NEW_TRANSACTIONS in program.can
    assert ("AddPartitionsToTxn" not in asked) == new
    assert (asked["EndTxn"] >= 5) == new
