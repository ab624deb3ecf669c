"""Programs of Kubernetes for the tests of the chart; without Go they are left out, loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import kubetools
from support.chart import Chart


@pytest.fixture(scope="session")
def helm() -> Path:
    return kubetools.needed(kubetools.helm)


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    return Chart(helm)
