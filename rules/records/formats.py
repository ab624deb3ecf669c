"""What masks values of each format: `json`, `text` (a value is one string), `auto` (JSON if it is JSON, else text).

A text goes through the JSON kernel as a string at `$`, so that every mask does to it what it does to strings.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from wiremask.rules.errors import RulesClash
from wiremask.rules.kernel.jsonmask import OUTPUT_LIMIT_BYTES, JsonMasker
from wiremask.rules.kernel.texts import quote, unquote
from wiremask.rules.model.markers import Markers
from wiremask.rules.outcome import Detail, MaskedTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Buffer

    from wiremask.rules.kernel.automaton import Selection
    from wiremask.rules.model.masks import OnUnreadable
    from wiremask.rules.model.rule import Format
    from wiremask.rules.outcome import Failure, Outcome

_JSON_BEYOND_LIMITS = {Detail.TOO_DEEP, Detail.LONE_SURROGATE, Detail.BYTE_ORDER_MARK}
"""What is JSON to other readers: it must not pass as text, where the rules have other masks or none."""


class FormatsDiffer(RulesClash):
    """Rules that read one part of a record in different ways."""


class PartMasker(Protocol):
    """Masks one part of the records of a batch."""

    def mask(self, buffer: Buffer, values: array[int], conditions: bytes = b"", /) -> Outcome:
        """Masks a batch: see JsonMasker.mask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the maskers of a topic have in common.

    Attributes:
        rules: how many rules act.
        json_depth: objects and arrays that may be open at once.
        topic: for masks that bind their outputs to it.
        markers: what stands for an unreadable value.
        on_unreadable: whether an unreadable value is refused or replaced by the marker.
        output_limit_bytes: bound for the masked values of one batch together.
        conditions: number of conditions that `Selection.when` counts in.
    """

    rules: int
    json_depth: int
    topic: str = ""
    markers: Markers = field(default_factory=Markers)
    on_unreadable: OnUnreadable = "reject"
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    conditions: int = 0


def common_format(formats: Iterable[Format]) -> Format:
    """How values are read that rules of these formats meet on.

    Raises:
        FormatsDiffer: some rules take the value as a text, others as JSON. `auto` with `json` is `json`: what is no
            JSON is unreadable to one of them.
    """
    found = set(formats)
    if "text" in found and len(found) > 1:
        raise FormatsDiffer("some of the rules for one topic have `format: text`, others not; write one format")
    return "json" if "json" in found else found.pop()


def make_masker(form: Format, selections: Sequence[Selection], setting: Setting) -> PartMasker:
    """The masker for values of a format.

    Raises:
        AutomatonTooLarge: the paths of the selections multiply.
    """
    match form:
        case "json":
            return _json(selections, setting, setting.markers.json)
        case "text":
            return TextMasker(selections, setting)
        case "auto":
            return AutoMasker(selections, setting)


def _json(selections: Sequence[Selection], setting: Setting, marker: bytes) -> JsonMasker:
    return JsonMasker(
        selections,
        rules=setting.rules,
        depth_limit=setting.json_depth,
        on_unreadable=setting.on_unreadable,
        marker=marker,
        output_limit_bytes=setting.output_limit_bytes,
        topic=setting.topic,
        conditions=setting.conditions,
    )


class TextMasker:
    """Masks values that are one text each; what is no UTF-8 is unreadable."""

    def __init__(self, selections: Sequence[Selection], setting: Setting) -> None:
        # Only these select a value that is one string; the others belong to the JSON that `auto` takes too.
        whole = [selection for selection in selections if not selection.path]
        self._strings = _json(whole, setting, setting.markers.text)

    def mask(self, buffer: Buffer, values: array[int], conditions: bytes = b"", /) -> Outcome:
        """Masks a batch: see JsonMasker.mask. The span (0, -1) is a text that became null."""
        strings, spans = quote(buffer, values)
        return unquote(self._strings.mask(strings, spans, conditions), buffer, values)


class AutoMasker:
    """Masks values that are JSON as JSON, and the others as texts."""

    def __init__(self, selections: Sequence[Selection], setting: Setting) -> None:
        self._json = _json(selections, replace(setting, on_unreadable="reject"), setting.markers.json)
        self._text = TextMasker(selections, setting)
        self._redacts = setting.on_unreadable == "redact"
        self._marker = setting.markers.json
        self._limit = setting.output_limit_bytes
        self._conditions = setting.conditions

    def mask(self, buffer: Buffer, values: array[int], conditions: bytes = b"", /) -> Outcome:
        """Masks a batch: see JsonMasker.mask."""
        outcome = self._json.mask(buffer, values, conditions)
        unread = [failure for failure in outcome.failures if failure.rule < 0]
        if not unread:
            return outcome
        beyond = [failure for failure in unread if failure.detail in _JSON_BEYOND_LIMITS]
        texts = [failure.index for failure in unread if failure.detail not in _JSON_BEYOND_LIMITS]
        given = array("i")
        for index in texts:
            given.extend(values[2 * index : 2 * index + 2])
        count = self._conditions
        rows = b"".join([conditions[count * index : count * index + count] for index in texts])
        return self._join(outcome, texts, self._text.mask(buffer, given, rows), beyond)

    def _join(self, json: Outcome, texts: Sequence[int], text: Outcome, beyond: Sequence[Failure]) -> Outcome:
        """One outcome of that for JSON, that for the texts at some places, and values that neither is for."""
        spans = array("i", json.spans)
        offset = len(json.values)
        for place, index in enumerate(texts):
            start, length = text.spans[2 * place : 2 * place + 2]
            spans[2 * index : 2 * index + 2] = array("i", (start + offset if start >= 0 else start, length))
        values = json.values + text.values
        for failure in beyond if self._redacts else ():
            spans[2 * failure.index : 2 * failure.index + 2] = array("i", (len(values), len(self._marker)))
        if self._redacts and beyond:
            values += self._marker
        if len(values) > self._limit:
            raise MaskedTooLarge("the masked values of a batch outgrew the limit")
        failures = [failure for failure in json.failures if failure.rule >= 0]
        failures += [replace(failure, index=texts[failure.index]) for failure in text.failures]
        failures += [] if self._redacts else beyond
        marked = len(beyond) if self._redacts else 0
        return replace(
            json,
            values=values,
            spans=spans,
            changed=json.changed + text.changed + marked,
            failures=tuple(sorted(failures, key=lambda failure: failure.index)),
            masked=array("q", map(sum, zip(json.masked, text.masked, strict=True))),
            unreadable=text.unreadable + marked,
        )
