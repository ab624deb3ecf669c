"""What a field holds, as its rule says with `data`: a card number, a date of birth, ...

Standards ask for masks by kinds of data; a path tells no kind, detectors do. Other fields without `data` are not judged
by any standard; `check` warns of one whose name tells what it probably holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.model.selector import Name
from wiremask.rules.nodes.shape import Words, expected, member, read_items, read_members, read_word
from wiremask.rules.nodes.source import Mapping, Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.rules.detect.detectors import Detector
    from wiremask.rules.errors import Faults
    from wiremask.rules.model.metadata import Standard
    from wiremask.rules.model.selector import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of data.

    Attributes:
        says: what it is.
        letter: its place in the list of 45 CFR 164.514(b)(2)(i), A to R; "" for none.
        card: PCI DSS speaks of it.
        names: what fields that hold it are often called, in small letters, without `_` and `-`.
    """

    says: str
    letter: str = ""
    card: bool = False
    names: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "pan": Kind(
        says="the number of a payment card",
        letter="J",
        card=True,
        names=("pan", "cardnumber", "cardno", "creditcard", "creditcardnumber"),
    ),
    "cvv": Kind(
        says="a card's verification code",
        card=True,
        names=("cvv", "cvv2", "cvc", "cvc2", "cid", "securitycode", "cardcode"),
    ),
    "pin": Kind(says="a PIN or PIN block", card=True, names=("pin", "pinblock")),
    "track": Kind(says="the track data of a card", card=True, names=("track", "track1", "track2", "trackdata")),
    "name": Kind(
        says="a person's name",
        letter="A",
        names=("firstname", "lastname", "fullname", "givenname", "familyname", "surname"),
    ),
    "address": Kind(
        says="a place smaller than a state, but for the ZIP code", letter="B", names=("street", "address", "city")
    ),
    "zip": Kind(says="a US ZIP code", letter="B", names=("zip", "zipcode", "postalcode", "postcode")),
    "date": Kind(
        says="a date of a person's life, such as an admission",
        letter="C",
        names=("admissiondate", "dischargedate", "deathdate", "dateofdeath"),
    ),
    "birth-date": Kind(
        says="a date of birth", letter="C", names=("dob", "birthdate", "dateofbirth", "birthday", "birthdt")
    ),
    "age": Kind(says="an age in years", letter="C", names=("age",)),
    "phone": Kind(says="a telephone number", letter="D", names=("phone", "phonenumber", "mobile", "telephone")),
    "fax": Kind(says="a fax number", letter="E", names=("fax", "faxnumber")),
    "email": Kind(says="an e-mail address", letter="F", names=("email", "emailaddress", "mail")),
    "ssn": Kind(says="a social security number", letter="G", names=("ssn", "socialsecuritynumber")),
    "record": Kind(says="a medical record number", letter="H", names=("mrn", "medicalrecordnumber")),
    "plan": Kind(says="a health plan beneficiary number", letter="I", names=("memberid", "beneficiaryid")),
    "account": Kind(says="an account number", letter="J", names=("iban", "accountnumber")),
    "licence": Kind(says="the number of a certificate or licence", letter="K", names=("licensenumber", "passport")),
    "vehicle": Kind(says="a vehicle's serial or plate number", letter="L", names=("vin", "licenseplate")),
    "device": Kind(says="a device's identifier or serial number", letter="M", names=("imei", "deviceid", "mac")),
    "url": Kind(says="a web address", letter="N", names=("url", "website")),
    "ip": Kind(says="an IP address", letter="O", names=("ip", "ipaddress", "clientip", "remoteip")),
    "biometric": Kind(says="a finger or voice print or the like", letter="P", names=("fingerprint", "voiceprint")),
    "photo": Kind(says="a picture of a face", letter="Q", names=("photo", "portrait")),
    "identifier": Kind(says="any other number or code that is unique to a person", letter="R"),
}

# Card brands whose numbers have 16 digits and 8-digit BINs; of others no more than the first 6 may stay.
BRANDS = ("visa", "mastercard", "discover", "jcb", "unionpay", "amex")
DATA = Words(of="`data`", known=("pan",), required=("pan",))

_FOUND: dict[Detector, str] = {
    "card": "pan",
    "iban": "account",
    "us-ssn": "ssn",
    "email": "email",
    "phone": "phone",
    "ipv4": "ip",
    "ipv6": "ip",
    "mac": "device",
    "us-zip": "zip",
    "birth-date": "birth-date",
}

_OF_STANDARD: dict[Standard, tuple[str, ...]] = {
    "pci-dss": tuple(word for word, kind in KINDS.items() if kind.card),
    "hipaa-safe-harbor": tuple(word for word, kind in KINDS.items() if kind.letter),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a field holds.

    Attributes:
        kind: a word of KINDS.
        brands: of a card number, those that occur; () for any.
    """

    kind: str
    brands: tuple[str, ...] = ()


def read_data(node: Node, faults: Faults) -> Data | None:
    """Reads `data`: a word, or {pan: [brands]}; None if a fault was reported."""
    if isinstance(node, Scalar):
        word = read_word(node, "data", tuple(KINDS), faults)
        return None if word is None else Data(kind=word)
    if not isinstance(node, Mapping):
        expected(node, "`data` is a word such as pan, or {pan: [visa, mastercard]}", faults)
        return None
    before = len(faults.found)
    members = read_members(node, DATA, faults)
    listed = None if members is None else member(members, "pan")
    if listed is None:
        return None
    brands = [
        read_word(item, "pan", BRANDS, faults)
        for item in read_items(listed, "`pan` is a list of card brands, for example [visa, mastercard]", faults) or ()
    ]
    if len(faults.found) > before:
        return None
    return Data(kind="pan", brands=tuple(sorted({brand for brand in brands if brand is not None})))


def data_found(detect: Iterable[Detector]) -> tuple[Data, ...]:
    """What detectors find, of which standards speak."""
    return tuple(Data(kind=kind) for kind in dict.fromkeys(_FOUND[one] for one in detect if one in _FOUND))


def is_of_standard(kind: str, standard: Standard) -> bool:
    """Whether a standard speaks of a kind of data."""
    return kind in _OF_STANDARD[standard]


def kind_by_name(path: Path) -> str | None:
    """The kind that the last name of a path tells; None if it tells none."""
    names = [selector.name for segment in path for selector in segment.selectors if isinstance(selector, Name)]
    if not names:
        return None
    plain = names[-1].lower().replace("_", "").replace("-", "")
    return next((word for word, kind in KINDS.items() if plain in kind.names), None)
