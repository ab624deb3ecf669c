"""`wiremask run`: the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.proxy import log
from wiremask.proxy.commands.options import USAGE, configuration, parser
from wiremask.rules.errors import RuleSetInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

INVALID_RULES = 1

_DESCRIPTION = """\
Runs the proxy until SIGTERM or SIGINT, then lets what is in flight finish. SIGHUP reads the rules again; they are also
read again whenever their files change.

  wiremask run --upstream kafka:9092 --listen 127.0.0.1:9092 --rules rules/
  wiremask run --config wiremask.yaml
"""


def run(arguments: Sequence[str]) -> int:
    """Serves until a signal; 1 if the rules are invalid or a port is taken, 2 if the configuration is invalid."""
    config = configuration(parser("run", _DESCRIPTION).parse_args(arguments))
    if config is None:
        return USAGE
    log.configure(config.log)
    log.route_libraries()
    # Only now: wrong usage answers at once.
    from wiremask.proxy import server  # noqa: PLC0415

    try:
        return server.run(config)
    except RuleSetInvalid as invalid:
        faults = invalid.errors
    logger = log.logger()
    for fault in faults:
        logger.error("rules invalid", error=str(fault))
    logger.error("not started", reason="the rules are invalid", count=len(faults))
    return INVALID_RULES
