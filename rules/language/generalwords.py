"""The masks that generalise, as the rule language writes them: numbers, dates, ages, places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from wiremask.rules.maskers.dateforms import FormInvalid, split_form
from wiremask.rules.maskers.places import RESTRICTED_ZIP3
from wiremask.rules.model.masks import Age, Bucket, Date, DateShift, Ip, IpScramble, Mask, Range, Round, Zip3
from wiremask.rules.model.selector import PathInvalid, read_path, write_path
from wiremask.rules.nodes.shape import member, read_text, read_word
from wiremask.rules.nodes.source import Scalar, place_in

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Literal

    from wiremask.rules.language.maskcall import Call
    from wiremask.rules.model.masks import DatePrecision, RoundDirection

BOUNDS_LIMIT = 1000
FORM_LIMIT = 64
SHIFT_LIMIT_DAYS = 36500
PRECISIONS = ("year", "quarter", "month", "day")

_PREFIX = re.compile(r"[0-9]{3}", re.ASCII)


def read_bucket(call: Call) -> Mask | None:
    """Reads `bucket`."""
    before = len(call.faults.found)
    size = call.number("size", positive=True)
    start, lowest, highest = call.number("start"), call.number("lowest"), call.number("highest")
    if size is None or len(call.faults.found) > before:
        return None
    if lowest is not None and highest is not None and lowest > highest:
        call.fault("highest", "`highest` is below `lowest`; exchange them")
        return None
    bucket = Bucket(size=size, lowest=lowest, highest=highest)
    return bucket if start is None else Bucket(size=size, start=start, lowest=lowest, highest=highest)


def read_round(call: Call) -> Mask | None:
    """Reads `round`."""
    to = call.number("to", positive=True)
    direction = call.choice("direction", ("nearest", "down", "up"))
    return None if to is None or direction is None else Round(to=to, direction=cast("RoundDirection", direction))


def read_range(call: Call) -> Mask | None:
    """Reads `range`."""
    before = len(call.faults.found)
    nodes = call.items("bounds", "`bounds` is a list of numbers that rise, [18, 30, 65]")
    if len(nodes) > BOUNDS_LIMIT:
        call.faults.add(nodes[BOUNDS_LIMIT].mark, f"there are at most {BOUNDS_LIMIT} bounds; delete this one")
        return None
    bounds: list[Decimal] = []
    for node in nodes:
        bound = call.as_number(node, "a bound")
        if bound is not None and bounds and bound <= bounds[-1]:
            call.faults.add(node.mark, "a bound is above the one before it; put them in order")
        elif bound is not None:
            bounds.append(bound)
    labels = [
        read_text(node, "a label is a text", call.faults)
        for node in call.items("labels", "`labels` is a list of texts, one more than the bounds")
    ]
    if len(call.faults.found) > before:
        return None
    if call.has("labels") and len(labels) != len(bounds) + 1:
        call.fault("labels", "there is one label more than bounds, the first for what is below all of them")
        return None
    return Range(bounds=tuple(bounds), labels=tuple(label for label in labels if label is not None))


def read_age(call: Call) -> Mask | None:
    """Reads `age`."""
    top = call.count("top", 90, 1, 150)
    return None if top is None else Age(top=top)


def read_date(call: Call) -> Mask | None:
    """Reads `date`: made less exact, or shifted."""
    if call.has("to") == call.has("shift"):
        call.faults.add(call.mark, "`date` has exactly one of `to` and `shift`; write {to: month}")
        return None
    before = len(call.faults.found)
    unit, form = member(call.members, "numbers"), _read_form(call)
    numbers = None if unit is None else read_word(unit, "numbers", ("seconds", "milliseconds"), call.faults)
    counted = cast("Literal['seconds', 'milliseconds'] | None", numbers)
    if call.has("shift"):
        return _read_shift(call, counted, form)
    for key in ("key", "domain", "subject"):
        if call.has(key):
            call.faults.add(call.members[key].mark, f"`{key}` belongs to a shift; delete it, or write `shift`")
    word = read_word(call.members["to"].value, "to", PRECISIONS, call.faults)
    if word is None or len(call.faults.found) > before:
        return None
    return Date(to=cast("DatePrecision", word), unit=counted, form=form)


def _read_form(call: Call) -> str:
    node = member(call.members, "format")
    form = call.text("format", "", FORM_LIMIT)
    if form is None or not isinstance(node, Scalar):
        return ""
    try:
        split_form(form)
    except FormInvalid as error:
        call.faults.add(place_in(node, error.offset), error.message)
    if call.has("shift") and "%d" not in form:
        call.faults.add(node.mark, "a date without a day cannot be shifted by days; add %d")
    return form


def _read_shift(call: Call, unit: Literal["seconds", "milliseconds"] | None, form: str) -> Mask | None:
    before = len(call.faults.found)
    within = call.count("shift", 0, 1, SHIFT_LIMIT_DAYS)
    if not call.has("key") or not call.has("subject"):
        call.faults.add(call.mark, "a shift has a `key` and a `subject`: {shift: 180, key: pii, subject: $.patient.id}")
        return None
    subkey, subject = call.subkey(), call.text("subject", "")
    node = call.members["subject"].value
    if subkey is None or within is None or subject is None or not isinstance(node, Scalar):
        return None
    try:
        path = read_path(subject)
    except PathInvalid as error:
        call.faults.add(place_in(node, error.offset), error.message)
        return None
    if not path:
        call.faults.add(node.mark, "the subject is a text or number in the value; write its path: $.patient.id")
    if len(call.faults.found) > before:
        return None
    return DateShift(subkey=subkey, within=within, subject=path, subject_text=write_path(path), unit=unit, form=form)


def read_zip3(call: Call) -> Mask | None:
    """Reads `zip3`."""
    before = len(call.faults.found)
    as_string = call.as_string()
    restricted = set()
    for node in call.items("restricted", '`restricted` is a list of three digits each, ["036", "059"]'):
        text = read_text(node, "three digits are a text", call.faults)
        if text is not None and _PREFIX.fullmatch(text) is None:
            call.faults.add(node.mark, "write the first three digits of a ZIP code")
        elif text is not None:
            restricted.add(text)
    if as_string is None or len(call.faults.found) > before:
        return None
    return Zip3(restricted=frozenset(restricted) or RESTRICTED_ZIP3, as_string=as_string)


def read_ip(call: Call) -> Mask | None:
    """Reads `ip`, with a key or without."""
    if not call.has("key"):
        if call.has("domain"):
            call.faults.add(call.members["domain"].mark, "`domain` belongs to a key; add `key`, or delete it")
        v4, v6 = call.count("v4", 24, 0, 31), call.count("v6", 48, 0, 127)
        return None if v4 is None or v6 is None else Ip(v4=v4, v6=v6)
    for family in ("v4", "v6"):
        if call.has(family):
            call.faults.add(call.members[family].mark, "with a key all bits are masked; delete this, or delete `key`")
    subkey = call.subkey()
    return None if subkey is None else IpScramble(subkey=subkey)
