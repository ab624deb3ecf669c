"""wiremask: a transparent Kafka proxy that masks fields in records on the wire.

The same masking in-process, bytes in and bytes out:

    masking = wiremask.load("rules/")
    masked = masking.mask("payments.eu", "produce", None, b'{"ssn":"123-45-6789"}', [])

`wiremask.proxy` is the proxy itself, `wiremask.protocol` reads and writes Kafka's bytes, `wiremask.rules` decides what
changes in them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wiremask.proxy.inprocess import Masked, Masking, MaskingRefused, load
    from wiremask.rules.errors import RuleSetInvalid

__version__ = "0.1.0"

__all__ = ["Masked", "Masking", "MaskingRefused", "RuleSetInvalid", "__version__", "load"]

_HOMES = {
    "Masked": "wiremask.proxy.inprocess",
    "Masking": "wiremask.proxy.inprocess",
    "MaskingRefused": "wiremask.proxy.inprocess",
    "RuleSetInvalid": "wiremask.rules.errors",
    "load": "wiremask.proxy.inprocess",
}


def __getattr__(name: str) -> Any:
    # At first use: `wiremask.protocol` alone must not load the rules, nor `wiremask run` the in-process API.
    if name not in _HOMES:
        raise AttributeError(f"module 'wiremask' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
