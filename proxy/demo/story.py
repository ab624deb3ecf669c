"""The demo in its order: broker, proxy, three records, a change of the rules, one more record, the verdict."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from wiremask.proxy.demo.cluster import Cluster, DemoFailed, embedded_cluster, real_cluster
from wiremask.proxy.demo.journey import REDACTED, find_faults, first_records, later_records, leaves, rules, travel
from wiremask.proxy.demo.process import ProxyProcess, running_proxy
from wiremask.proxy.demo.screen import Screen

if TYPE_CHECKING:
    from wiremask.proxy.demo.journey import Journey

FAILED, STOPPED = 1, 143


def main(bootstrap: str | None) -> int:
    """Shows the demo on standard output; 0 if all that it showed was as it should be, else 1.

    Args:
        bootstrap: `host:port,...` of a real cluster; None for the embedded broker.
    """
    # The clients warn of what is normal here, such as a topic that was made a moment ago.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_show(Screen(), bootstrap))
    except asyncio.CancelledError:
        return STOPPED
    except (DemoFailed, KafkaError, OSError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return FAILED


async def _show(screen: Screen, bootstrap: str | None) -> int:
    _clear_away_when_stopped()
    cluster = embedded_cluster() if bootstrap is None else real_cluster(screen.console, bootstrap)
    async with cluster as broker:
        with tempfile.TemporaryDirectory(prefix="wiremask-demo-") as folder:
            async with running_proxy(Path(folder), broker, rules(broker.topic)) as proxy:
                faults = await _tell(screen, broker, proxy)
    if faults:
        return FAILED
    screen.print_next(broker.topic)
    return 0


async def _tell(screen: Screen, broker: Cluster, proxy: ProxyProcess) -> list[str]:
    screen.print_places(broker, proxy.bootstrap)

    screen.print_heading("The rules")
    screen.print_rules(rules(broker.topic))

    screen.print_heading("Three records on their way")
    before = await travel(first_records(), proxy=proxy.bootstrap, broker=broker.bootstrap, topic=broker.topic)
    screen.print_journeys(before)

    screen.print_heading("A rule changes while the proxy runs; one more record")
    screen.print_change()
    await proxy.change_rules(rules(broker.topic, changed=True))
    after = await travel(
        later_records(), proxy=proxy.bootstrap, broker=broker.bootstrap, topic=broker.topic, earlier=len(before)
    )
    screen.print_journeys(after)

    faults = _find_faults(before, after)
    screen.print_verdict(faults, checked=len(before) + len(after))
    return faults


def _find_faults(before: list[Journey], after: list[Journey]) -> list[str]:
    faults = [
        f"record {number}, {fault}"
        for number, journey in enumerate([*before, *after], start=1)
        for fault in find_faults(journey)
    ]
    if not faults and any(leaves(journey.stored)["ssn"] != REDACTED for journey in after):
        faults.append("the changed rule did not act")
    return faults


def _clear_away_when_stopped() -> None:
    """Has SIGTERM and a closed terminal end the demo as Ctrl-C does: the proxy, the folder and the topic go."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
