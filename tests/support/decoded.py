"""Every message that the proxy decodes, found and not listed."""

from __future__ import annotations

import importlib
import pkgutil

import wiremask.protocol.messages as package
from support.kafka_oracle import oracle
from wiremask.protocol.api import APIS
from wiremask.protocol.schema import load
from wiremask.protocol.view import Message

for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{module.name}")

_VIEWS = sorted(Message.__subclasses__(), key=lambda view: view.__name__)
MESSAGES = {view.__name__: view for view in _VIEWS if view.__module__.startswith(package.__name__)}

CASES = [
    (name, version) for name in MESSAGES for version in oracle(name).versions if APIS[load(name).api_key].takes(version)
]
"""Each of them in each version that the api table takes."""
