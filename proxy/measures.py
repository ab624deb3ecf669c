"""Counters and gauges as plain numbers, which the data path adds to with every frame.

prometheus_client's own take a lock and some calls each time, which is half of what a small frame costs, and importing
it is a tenth of the start. So it comes in when somebody scrapes (`exposition.py`), and finds here what to tell.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["counter", "gauge"]

METRICS: list[Metric] = []
"""Every metric of the process."""

_ADDING = Lock()


class Metric:
    """Numbers under one name.

    `counts` may be added to directly, by one thread at a time; `inc`, `dec` and `set` may be called by any.

    Attributes:
        counts: by the value of the one label, or by a tuple of values where there are more, or none.
    """

    __slots__ = ("counts", "documentation", "kind", "label_names", "name")

    def __init__(self, kind: Kind, name: str, documentation: str, *label_names: str, known: Iterable[str] = ()) -> None:
        """Makes it known to whoever scrapes.

        Args:
            known: values of the one label that are told from the start, as 0. A counter that is first seen as 1 has not
                grown in Prometheus' eyes, so an alert would miss the first time.
        """
        self.kind = kind
        self.name = name
        self.documentation = documentation
        self.label_names = label_names
        self.counts: defaultdict[str | tuple[str, ...], float] = defaultdict(int)
        self.counts.update(dict.fromkeys(known if label_names else [()], 0))
        METRICS.append(self)

    def labels(self, *values: str) -> One:
        """The number of these labels."""
        return One(self, values[0] if len(values) == 1 else values)

    def inc(self, by: float = 1) -> None:
        """Adds to a metric without labels."""
        One(self, ()).inc(by)

    def dec(self, by: float = 1) -> None:
        """Subtracts from a gauge without labels."""
        One(self, ()).inc(-by)

    def set(self, value: float) -> None:
        """Sets a gauge without labels."""
        self.counts[()] = value

    @property
    def value(self) -> float:
        """The number of a metric without labels."""
        return self.counts[()]

    def samples(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """The values of the labels, and the number, of each that there is."""
        for values, count in list(self.counts.items()):
            yield (values,) if isinstance(values, str) else values, count


@dataclass(slots=True)
class One:
    """One number of a metric."""

    metric: Metric
    key: str | tuple[str, ...]

    def inc(self, by: float = 1) -> None:
        """Adds."""
        with _ADDING:
            self.metric.counts[self.key] += by

    def set(self, value: float) -> None:
        """Sets."""
        self.metric.counts[self.key] = value

    @property
    def value(self) -> float:
        """As it is."""
        return self.metric.counts.get(self.key, 0)


def counter(name: str, documentation: str, *label_names: str, known: Iterable[str] = ()) -> Metric:
    """Something that only grows; its name ends with `_total`."""
    return Metric("counter", name, documentation, *label_names, known=known)


def gauge(name: str, documentation: str, *label_names: str) -> Metric:
    """Something that is as it is."""
    return Metric("gauge", name, documentation, *label_names)
