"""Every mask of the language, in its forms, with the values that it takes: a table for tests that hold of all masks.

Values are JSON texts, so that numbers are what was written. A new mask that has no line here fails a test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from hypothesis import strategies as st

from support.slow_tokens import iban_rest, luhn_sum

Values = st.SearchStrategy[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskCase:
    """One form of a mask.

    Attributes:
        mask: as a rule has it; KEY stands for the arguments that a key takes.
        fits: values that it takes.
        hides: nothing of a long value is left, but for what a mask keeps by design. The others say less, and may give a value
            as it was.
        makes_text: numbers become texts.
        is_random: no two outputs are alike.
    """

    mask: str
    fits: Values
    hides: bool = True
    makes_text: bool = False
    is_random: bool = False

    @property
    def is_keyed(self) -> bool:
        """Its outputs hang on a key."""
        return "KEY" in self.mask

    def __str__(self) -> str:
        return self.mask


def text(value: str) -> str:
    """A JSON string."""
    return json.dumps(value, ensure_ascii=False)


def grouped(draw: st.DrawFn, bare: str) -> str:
    """Characters in one piece or in groups of four, as cards and accounts are written."""
    mark = draw(st.sampled_from(["", " ", "-"]))
    return mark.join(bare[at : at + 4] for at in range(0, len(bare), 4))


@st.composite
def cards(draw: st.DrawFn) -> str:
    """Numbers with a Luhn digit."""
    digits = draw(st.text("0123456789", min_size=11, max_size=18))
    return text(grouped(draw, digits + str(-luhn_sum(digits + "0") % 10)))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    """Account numbers with valid check digits, of whatever length."""
    country, rest = draw(st.sampled_from(["DE", "GB", "MT"])), draw(st.text("0189AMZ", min_size=11, max_size=27))
    return text(grouped(draw, f"{country}{98 - iban_rest(country + '00' + rest):02}{rest}"))


def matching(expression: str) -> Values:
    """Strings of a form."""
    return st.from_regex(expression, fullmatch=True).map(text)


TEXTS: Values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).map(text),
    st.sampled_from(["4111111111111111", "ada@example.com", '"\\/\n', "\0", "字😀é", "1984-07-23"]).map(text),
)
INTEGERS: Values = st.integers(-(10**20), 10**20).map(str)
DECIMALS: Values = st.decimals(-(10**9), 10**9, places=3).map(lambda number: f"{number:f}")
NUMBERS: Values = INTEGERS | DECIMALS | st.sampled_from(["0", "-0", "0.0", "1e5", "-1.50E+3", "2.5e-7", "9" * 60])
AMOUNTS: Values = NUMBERS | (INTEGERS | DECIMALS).map(text)
OTHER_THAN_0: Values = st.one_of(
    st.integers(1, 10**18).map(str), st.integers(1, 10**9).map(lambda number: f"-{number}.5")
).flatmap(lambda number: st.sampled_from([number, text(number)]))
BOOLEANS: Values = st.sampled_from(["true", "false"])
SCALARS: Values = TEXTS | NUMBERS | BOOLEANS
WITH_A_LETTER: Values = matching(r"[A-Za-z0-9é., -]{0,20}[A-Za-z0-9é]")
MAILS: Values = matching(r"[a-z0-9.ü@]{1,12}@[A-Za-z0-9-]{1,9}\.[a-z]{2,4}")
DAYS: Values = st.dates(date(1900, 1, 1), date(2100, 1, 1)).map(lambda day: text(str(day)))
MOMENTS: Values = st.one_of(
    st.dates().map(str),
    st.dates().map(lambda day: str(day).replace("-", "")),
    st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='seconds')}Z"),
    st.datetimes().map(lambda moment: f"{moment.isoformat(' ', timespec='milliseconds')}+05:30"),
).map(text)
SECONDS: Values = st.integers(-(10**10), 10**11).map(str) | st.integers(0, 10**10).map(lambda number: f"{number}.25")
ADDRESSES: Values = (st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda address: address.exploded)).map(text)
ZIPS: Values = matching("[0-9]{3}|[0-9]{5}(-?[0-9]{4})?")

CASES = [
    MaskCase(mask="keep", fits=SCALARS, hides=False),
    MaskCase(mask="redact", fits=SCALARS),
    MaskCase(mask="{redact: {text: '', number: -1, boolean: true}}", fits=SCALARS),
    MaskCase(mask="{fixed: n/a}", fits=SCALARS, makes_text=True),
    MaskCase(mask="nullify", fits=SCALARS),
    MaskCase(mask="drop", fits=SCALARS),
    MaskCase(mask="partial", fits=TEXTS),
    MaskCase(mask="{partial: {keepFirst: 2, keepLast: 4, as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="{partial: {keepLast: 1, fixedLength: 3}}", fits=TEXTS),
    MaskCase(mask="{partial: {hideFirst: 2, hideLast: 2, as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="{truncate: 3}", fits=TEXTS),
    MaskCase(mask="{truncate: {length: 2, as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="pattern", fits=TEXTS),
    MaskCase(mask="{pattern: {as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="email", fits=MAILS),
    MaskCase(mask="{email: {local: {hash: {KEY}}, domain: pattern}}", fits=MAILS),
    MaskCase(mask="{hash: {KEY}}", fits=TEXTS),
    MaskCase(mask="{hash: {KEY, encoding: crockford, length: 26, as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="{token: {KEY}}", fits=WITH_A_LETTER),
    MaskCase(mask="{token: {KEY, keepFirst: 2, as: string}}", fits=WITH_A_LETTER | NUMBERS, makes_text=True),
    MaskCase(mask="{token: {KEY, format: pan, keepFirst: 6, keepLast: 2}}", fits=cards()),
    MaskCase(mask="{token: {KEY, format: iban}}", fits=ibans()),
    MaskCase(mask="{fpe: {KEY}}", fits=cards()),
    MaskCase(mask="{fpe: {KEY, alphabet: alphanumeric, keepLast: 2}}", fits=matching("[A-Za-z0-9]{6,20}")),
    MaskCase(mask="{encrypt: {KEY}}", fits=TEXTS, is_random=True),
    MaskCase(mask="{encrypt: {KEY, deterministic: true, as: string}}", fits=TEXTS | NUMBERS, makes_text=True),
    MaskCase(mask="{pseudonym: {KEY, words: cities}}", fits=TEXTS),
    MaskCase(mask="{noise: {KEY, within: 5}}", fits=AMOUNTS),
    MaskCase(mask="{noise: {KEY, percent: 5}}", fits=OTHER_THAN_0),
    MaskCase(mask="{date: {shift: 300, KEY, subject: $.id}}", fits=DAYS),
    MaskCase(mask="{ip: {KEY}}", fits=ADDRESSES),
    MaskCase(mask="[{truncate: 3}, {hash: {KEY}}]", fits=TEXTS),
    MaskCase(mask="[pattern, {pseudonym: {KEY, words: [north, south, east]}}]", fits=TEXTS),
    MaskCase(mask="{bucket: {size: 10, start: 2, lowest: -58}}", fits=AMOUNTS, hides=False),
    MaskCase(mask="{round: 0.05}", fits=AMOUNTS, hides=False),
    MaskCase(mask="{range: {bounds: [0, 10, 5000]}}", fits=AMOUNTS, hides=False),
    MaskCase(mask="{range: {bounds: [0], labels: [a, b]}}", fits=AMOUNTS, hides=False, makes_text=True),
    MaskCase(mask="{date: month}", fits=MOMENTS, hides=False),
    MaskCase(mask="{date: {to: quarter, numbers: seconds}}", fits=MOMENTS | SECONDS, hides=False),
    MaskCase(mask="{date: {to: year, format: '%d %b %Y'}}", fits=matching("1[0-9] (Jan|May|Dec) [12][0-9]{3}"), hides=False),
    MaskCase(mask="age", fits=st.integers(0, 130).map(str) | st.integers(0, 130).map(str).map(text), hides=False),
    MaskCase(mask="zip3", fits=ZIPS, hides=False),
    MaskCase(mask="{zip3: {as: string}}", fits=ZIPS | st.integers(501, 99950).map(str), hides=False, makes_text=True),
    MaskCase(mask="ip", fits=ADDRESSES, hides=False),
    MaskCase(mask="{ip: {v4: 8, v6: 0}}", fits=ADDRESSES, hides=False),
]  # fmt: skip
