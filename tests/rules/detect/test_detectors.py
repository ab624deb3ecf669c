"""How often each detector is right: made-up records with values of its kind, and with what only looks like them.

Values and lookalikes are made by a generator with a fixed seed, apart from the code that finds them. What the other detectors
look for is a lookalike too. Recall is the share of values that are found, whole; precision the share of finds that are
values. Both stand at the end of what pytest prints.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import random
import uuid
from collections.abc import Callable

import pytest

from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.detect.finder import Finder

COUNT = 2000
SENTENCES = [
    "{}",
    "please check {} before noon",
    "value={}; next",
    "({})",
    "the customer gave us {}, and then hung up",
    'field "{}" was sent\ntwice',
    "id:{}|status:open",
    "Grüße an {} 字",
    "1042,{},2024-05-17,open",
    "2026-11-24T10:11:12.500Z INFO  [pool-1] order 1234567890 of {} done in 17 ms",
    "https://shop.example.org/find?q={}&page=2",
    "<td>{}</td>\t<td>7</td>",
    "{}\n-- \nsent from a phone",
    "**{}**",
]
FLOORS = dict.fromkeys(DETECTORS, (0.995, 0.995)) | {"birth-date": (0.995, 0.92)}
"""The least recall and precision. Another date within 32 bytes of a word for birth is taken for a date of birth, too."""


def digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def letters(rng: random.Random, count: int, alphabet: str) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def luhn_digit(number: str) -> str:
    total = 0
    for place, char in enumerate(reversed(number)):
        value = int(char) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


def card(rng: random.Random) -> str:
    prefix, length = rng.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("3530", 16),
            ("36", 14),
            ("62", 16),
        ]
    )
    number = prefix + digits(rng, length - len(prefix) - 1)
    number += luhn_digit(number)
    if length == 16 and rng.random() < 0.4:
        return rng.choice(" -").join(number[i : i + 4] for i in range(0, 16, 4))
    if length == 15 and rng.random() < 0.4:
        return f"{number[:4]} {number[4:10]} {number[10:]}"
    return number


def iban(rng: random.Random) -> str:
    country, body = rng.choice(
        [
            ("DE", digits(rng, 18)),
            ("GB", letters(rng, 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") + digits(rng, 14)),
            ("FR", digits(rng, 23)),
            ("NL", letters(rng, 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") + digits(rng, 10)),
            ("NO", digits(rng, 11)),
        ]
    )
    check = 98 - int("".join(str(int(char, 36)) for char in f"{body}{country}00")) % 97
    whole = f"{country}{check:02}{body}"
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4)) if rng.random() < 0.4 else whole


def ssn(rng: random.Random) -> str:
    area = rng.choice([area for area in range(1, 900) if area != 666])
    parts = f"{area:03}", f"{rng.randint(1, 99):02}", f"{rng.randint(1, 9999):04}"
    return rng.choice(["SSN " + "".join(parts), "-".join(parts), " ".join(parts)])


def email(rng: random.Random) -> str:
    name = letters(rng, rng.randint(1, 12), "abcdefghijklmnopqrstuvwxyz0123456789")
    return rng.choice(
        [
            f"{name}@example.com",
            f"{name}.b+news@mail.example.co.uk",
            f"{name.upper()}_1@x-y.museum",
            f"ö{name}@müller.de",
        ]
    )


def phone(rng: random.Random) -> str:
    area, exchange = rng.randint(201, 989), rng.randint(200, 999)
    return rng.choice(
        [
            f"+1 ({area}) {exchange}-{digits(rng, 4)}",
            f"+1-{area}-{exchange}-{digits(rng, 4)}",
            f"+1{area}{exchange}{digits(rng, 4)}",
            f"+49 30 {rng.randint(1000000, 9999999)}",
            f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
            f"+33 {rng.randint(1, 9)} {' '.join(digits(rng, 2) for _ in range(4))}",
            f"+8190{digits(rng, 8)}",
        ]
    )


def ipv6(rng: random.Random) -> str:
    address = ipaddress.IPv6Address(
        (0x20010DB8 << 96) | rng.getrandbits(96) & rng.choice([0xFFFF, (1 << 96) - 1, 0xFFFF << 80 | 9]) | 1
    )
    return rng.choice([str(address), address.exploded, str(address).upper()])


def mac(rng: random.Random) -> str:
    plain = f"{rng.getrandbits(48):012x}"
    pairs = [plain[i : i + 2] for i in range(0, 12, 2)]
    dotted = "a" + plain[1:]
    return rng.choice([":".join(pairs), "-".join(pairs).upper(), f"{dotted[:4]}.{dotted[4:8]}.{dotted[8:]}"])


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(rng: random.Random) -> str:
    header = {"typ": "JWT", "alg": rng.choice(["HS256", "RS256", "ES512"]), "kid": digits(rng, rng.randint(0, 9))}
    claims = {"sub": digits(rng, 8)}
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), rng.randbytes(32))
    return ".".join(map(base64url, parts))


def private_key(rng: random.Random) -> str:
    kind = rng.choice(["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "])
    body = "\n".join(base64.b64encode(rng.randbytes(48)).decode() for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def credential(rng: random.Random) -> str:
    return rng.choice(
        [
            "AKIA" + letters(rng, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
            "ghp_" + letters(rng, 36, ALNUM),
            "github_pat_" + letters(rng, 22, ALNUM) + "_" + letters(rng, 59, ALNUM),
            "glpat-" + letters(rng, 20, ALNUM),
            f"xoxb-{digits(rng, 11)}-{digits(rng, 11)}-{letters(rng, 24, ALNUM)}",
            "sk_live_" + letters(rng, 24, ALNUM),
            "AIza" + letters(rng, 35, ALNUM + "-_")[:-1] + "a",
            "SG." + letters(rng, 22, ALNUM) + "." + letters(rng, 43, ALNUM),
            "npm_" + letters(rng, 36, ALNUM),
            "dop_v1_" + letters(rng, 64, "0123456789abcdef"),
        ]
    )


def day(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(1920, 2020), rng.randint(1, 12), rng.randint(1, 28)


def date(rng: random.Random) -> str:
    year, month, number = day(rng)
    return rng.choice(
        [
            f"{year}-{month:02}-{number:02}",
            f"{month}/{number}/{year}",
            f"{number:02}.{month:02}.{year}",
            f"{year}{month:02}{number:02}",
        ]
    )


def zip_code(rng: random.Random) -> str:
    code = f"{rng.randint(501, 99950):05}"
    return rng.choice([code, f"{code}-{digits(rng, 4)}"])


Maker = Callable[[random.Random], str]

# With the words around that a value needs; "|" marks the value.
VALUES: dict[str, Maker] = {
    "card": card,
    "iban": iban,
    "us-ssn": lambda rng: ssn(rng).replace("SSN ", "SSN |"),
    "email": email,
    "phone": phone,
    "ipv4": lambda rng: str(ipaddress.IPv4Address(rng.getrandbits(32))),
    "ipv6": ipv6,
    "mac": mac,
    "jwt": jwt,
    "private-key": private_key,
    "credential": credential,
    "us-zip": lambda rng: rng.choice(["zip |", "ZIP code: |", "Boston, MA |", "postal code |"]) + zip_code(rng),
    "birth-date": lambda rng: rng.choice(["born |", "DOB: |", "date of birth |", "birthday |"]) + date(rng),
}

LOOKALIKES: list[Maker] = [
    lambda rng: digits(rng, 9),
    lambda rng: str(rng.randint(10**9, 10**10 - 1)),  # an order
    lambda rng: str(rng.randint(1_500_000_000, 1_900_000_000)),  # an epoch time: seconds, milliseconds, microseconds
    lambda rng: str(rng.randint(1_500_000_000_000, 1_900_000_000_000)),
    lambda rng: str(rng.randint(15 * 10**14, 19 * 10**14)),
    lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    lambda rng: uuid.UUID(int=rng.getrandbits(128), version=4).hex,
    lambda rng: f"{rng.getrandbits(256):064x}",
    lambda rng: base64.b64encode(rng.randbytes(32)).decode(),
    lambda rng: "-".join(card(rng)[:-1].replace(" ", "").replace("-", "")[i : i + 4] for i in range(0, 16, 4)),
    lambda rng: (number := "4" + digits(rng, 14)) + str((int(luhn_digit(number)) + rng.randint(1, 9)) % 10),
    lambda rng: f"{rng.choice(['DE', 'FR'])}{digits(rng, 20)}",
    lambda rng: f"9{digits(rng, 2)}-{digits(rng, 2)}-{digits(rng, 4)}",
    lambda rng: f"v{rng.randint(1, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}",
    lambda rng: f"version {rng.randint(1, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}",
    lambda rng: f"{date(rng)}",
    lambda rng: (
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}+02:00"
    ),
    lambda rng: digits(rng, 5),
    lambda rng: f"{rng.randint(1, 9999)}.{digits(rng, 2)}",
    lambda rng: f"0.{digits(rng, 16)}",
    lambda rng: f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{digits(rng, 4)}",
    lambda rng: "@" + letters(rng, 8, "abcdefghij"),
    lambda rng: f"{letters(rng, 5, 'abcdefghij')}@localhost",
    lambda rng: "std::" + letters(rng, 6, "abcdefxyz"),
    lambda rng: f"eyJ{letters(rng, 30, ALNUM)}",
    lambda rng: (
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(rng.randbytes(48)).decode()}\n-----END CERTIFICATE-----"
    ),
    lambda rng: f"SKU-{digits(rng, 8)}-{letters(rng, 2, 'ABCDEF')}",
    lambda rng: f"{letters(rng, 2, 'ghijk')}_{letters(rng, 30, ALNUM)}",
]


def find_in(finder: Finder, text: str) -> set[str]:
    """What is found in a text."""
    data = text.encode()
    return {data[start:end].decode() for start, end, _ in finder.find(data)}


def measure(detector: str) -> tuple[float, float, int, int]:
    """Recall, precision, values and lookalikes."""
    rng = random.Random(f"seed of {detector}")
    finder = Finder([detector])
    hits = misses = wrong = lookalikes = 0
    for number in range(COUNT):
        before, _, value = VALUES[detector](rng).rpartition("|")
        found = find_in(finder, SENTENCES[number % len(SENTENCES)].format(before + value))
        hits += value in found
        misses += value not in found
        wrong += len(found - {value})
    makers = LOOKALIKES + [make for name, make in VALUES.items() if name != detector]
    for number in range(COUNT):
        lookalike = makers[number % len(makers)](rng).replace("|", "")
        lookalikes += 1
        wrong += len(find_in(finder, SENTENCES[number // len(makers) % len(SENTENCES)].format(lookalike)))
    return hits / (hits + misses), hits / max(hits + wrong, 1), COUNT, lookalikes


@pytest.mark.parametrize("detector", DETECTORS)
def test_finds_most_values_and_little_else(detector: str, record_property: Callable[[str, str], None]) -> None:
    recall, precision, values, lookalikes = measure(detector)

    told = f"{detector:12} recall {recall:.3f} precision {precision:.3f} ({values} values, {lookalikes} lookalikes)"
    record_property("measured", told)
    assert recall >= FLOORS[detector][0]
    assert precision >= FLOORS[detector][1]


def test_one_in_25_random_numbers_of_16_digits_is_taken_for_a_card(record_property: Callable[[str, str], None]) -> None:
    rng = random.Random("numbers")
    finder = Finder(["card"])
    numbers = [digits(rng, 16).encode() for _ in range(20_000)]

    taken = sum(bool(finder.find(number)) for number in numbers)

    record_property("measured", f"card         finds {taken} of {len(numbers)} random numbers of 16 digits")
    assert taken <= len(numbers) / 25
