"""The metrics as Prometheus reads them. Imported at the first scrape, or shortly before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from wiremask.proxy.measures import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wiremask.proxy.measures import Metric

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


def expose(accept: str) -> tuple[str, bytes]:
    """All metrics, and the content type, in the form that the scraper asks for."""
    encode, kind = choose_encoder(accept)
    return kind, encode(REGISTRY)


class _Metrics(Collector):
    """What prometheus_client asks at each scrape, beside its own figures of process and interpreter."""

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        return map(_family, METRICS)


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    made = _FAMILIES[metric.kind]
    family: CounterMetricFamily | GaugeMetricFamily = made(metric.name, metric.documentation, labels=metric.label_names)
    for values, count in metric.samples():
        family.add_metric(values, count)
    return family


REGISTRY.register(_Metrics())
