"""`wiremask config`: what a configuration comes to."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from wiremask.proxy.commands.options import USAGE, configuration, parser
from wiremask.proxy.config import Config, render

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """\
Prints the effective configuration as YAML: file, environment and options together, with every default. Secrets are
shown as the references that they are. The output can be used as a configuration file.
"""


def show(arguments: Sequence[str]) -> int:
    """Prints the configuration; 2 if it is invalid."""
    options = parser("config", _DESCRIPTION)
    options.add_argument("--schema", action="store_true", help="print the JSON Schema of configuration files instead")
    given = options.parse_args(arguments)
    if given.schema:
        from wiremask.proxy.configschema import schema_of  # noqa: PLC0415 - it reads the source

        sys.stdout.write(json.dumps(schema_of(Config), indent=2) + "\n")
        return 0
    config = configuration(given)
    if config is None:
        return USAGE
    sys.stdout.write(render(config))
    return 0
