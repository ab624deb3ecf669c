"""`wiremask webhook`: the admission webhook of Kubernetes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wiremask.proxy import log
from wiremask.proxy.config import ConfigInvalid, load_as
from wiremask.proxy.log import logger
from wiremask.proxy.webhook.certificates import CertificateUnusable
from wiremask.proxy.webhook.config import SidecarUnusable, WebhookConfig
from wiremask.proxy.webhook.server import serve

if TYPE_CHECKING:
    from pathlib import Path

FAILED = 1
USAGE = 2


def webhook(path: Path) -> int:
    """Serves until a signal; 1 if it cannot start, 2 if the configuration is invalid."""
    try:
        config = load_as(WebhookConfig, path)
    except ConfigInvalid as invalid:
        for error in invalid.errors:
            logger().error("configuration invalid", error=str(error))
        return USAGE
    log.configure(config.log)
    log.route_libraries()
    try:
        return asyncio.run(serve(config))
    except (CertificateUnusable, SidecarUnusable, OSError) as error:
        logger().error("not started", error=str(error))
        return FAILED
