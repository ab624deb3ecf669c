"""Nobody can tell: what a client asks, is answered and reports is the same with and without a proxy.

`support.conversation` says what is compared of the wire, and what depends on the clock and therefore is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.conversation import differences
from support.programs import SHARE, Program
from wiremask.protocol.api import APIS, Mode

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200)]


def test_a_client_asks_the_same_in_the_same_order_and_gets_the_same_errors(
    program: Program, run_workload: Callable[..., Any]
) -> None:
    direct, through = (run_workload(program, way).conversation for way in ("direct", "through"))

    assert len(direct.asked()) > 10
    assert differences(direct, through) == {}


def test_a_client_reports_the_same_results_save_for_addresses(
    program: Program, run_workload: Callable[..., Any]
) -> None:
    direct, through = (run_workload(program, way) for way in ("direct", "through"))

    assert direct.broker != through.broker
    assert _without_addresses(through.results, through.broker) == _without_addresses(direct.results, direct.broker)


def test_a_client_is_offered_what_the_broker_offers_save_for_apis_between_brokers(
    program: Program, run_workload: Callable[..., Any]
) -> None:
    direct, through = (run_workload(program, way).conversation for way in ("direct", "through"))

    assert through.offers() == [_for_clients(offer) for offer in direct.offers()]
    assert any(offer["ApiKeys"] for offer in through.offers())


def test_groups_whose_members_the_broker_assigns_and_share_groups_are_the_same_too(
    newer_program: Program, run_workload: Callable[..., Any]
) -> None:
    direct, through = (run_workload(newer_program, way, newer_groups=True) for way in ("direct", "through"))

    asked = {api for api, _ in through.conversation.asked()}
    assert "ConsumerGroupHeartbeat" in asked
    assert (SHARE in newer_program.can) == ({"ShareGroupHeartbeat", "ShareFetch", "ShareAcknowledge"} <= asked)
    assert through.results == direct.results
    assert differences(direct.conversation, through.conversation) == {}


def _without_addresses(results: dict[str, Any], broker: str) -> dict[str, Any]:
    inspected = dict(results["inspect"])
    inspected["brokers"] = [[node, "here" if address == broker else address] for node, address in inspected["brokers"]]
    return {**results, "inspect": inspected}


def _for_clients(offer: dict[str, Any]) -> dict[str, Any]:
    refused = {key for key, api in APIS.items() if api.mode is Mode.REFUSE}
    return {**offer, "ApiKeys": [offered for offered in offer["ApiKeys"] if offered["ApiKey"] not in refused]}
