"""What can be found anywhere in a text, by name."""

from __future__ import annotations

DETECTORS = (
    "card",
    "iban",
    "us-ssn",
    "email",
    "phone",
    "ipv4",
    "ipv6",
    "mac",
    "jwt",
    "private-key",
    "credential",
    "us-zip",
    "birth-date",
)
"""The built-in detectors, in the order of find_kind_t in find_list.h."""
