"""What masking came to, told to the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.rules import Direction, TopicPlan
    from wiremask.rules.observers import Observation
    from wiremask.rules.records.batch import RecordCounts


def tell_observed(observations: Iterable[Observation], at: Direction) -> None:
    """Adds what rules would do that only observe; the caller holds `metrics.TELLING`."""
    for observation in observations:
        for field, count in observation.masked.items():
            metrics.observed_fields.counts[observation.rule, field, at] += count
        for reason, count in observation.failed.items():
            metrics.observed_failures.counts[observation.rule, reason, at] += count


def tell_masked(counts: RecordCounts, plan: TopicPlan) -> None:
    """Adds what became of the records of one batch; the caller holds `metrics.TELLING`."""
    at = plan.at
    for changed, unreadable, masked in counts.parts:
        if changed:
            metrics.masked_values.counts[at] += changed
        if unreadable:
            metrics.unreadable_values.counts[at] += unreadable
        for rule, count in zip(plan.rules, masked, strict=True):
            if count:
                metrics.masked_fields.counts[rule.name, at] += count
    for _, failure in counts.failures:
        if at == "produce":
            metrics.refused_values.counts[at] += 1
        else:
            metrics.omitted_records.counts[failure.reason.value] += 1
