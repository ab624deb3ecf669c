"""What a test needs of the machine: where it is missing the test is left out, or fails where it is required."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from support.kafka import KafkaUnavailable
from support.toolchains import ToolchainMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKER = "WIREMASK_REQUIRE_BROKER"
"""Set to 1 where a missing broker is a failure, as in .ci/run."""


@contextlib.contextmanager
def needed(what: str, *, required_by: str = BROKER) -> Iterator[None]:
    """Leaves a test out, loudly, if `what` cannot be had in the block; a failure where the variable is 1."""
    try:
        yield
    except (KafkaUnavailable, ToolchainMissing) as error:
        if os.environ.get(required_by) == "1":
            pytest.fail(f"{required_by}=1 and no {what}: {error}", pytrace=False)
        pytest.skip(f"no {what}: {error}")
