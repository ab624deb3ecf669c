"""The options by which `run` and `config` set single values of the configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wiremask.proxy.config import Config, ConfigInvalid, load

if TYPE_CHECKING:
    from wiremask.proxy.configfile import KeyPath

USAGE = 2

_SETTINGS: dict[str, tuple[KeyPath, str, str]] = {
    "--upstream": (("upstream", "bootstrapServers"), "HOST:PORT[,...]", "Kafka brokers behind the proxy"),
    "--listen": (("listeners", 0, "address"), "HOST:PORT", "bootstrap port for clients; node ports follow it"),
    "--advertised-host": (("listeners", 0, "advertisedHost"), "HOST", "host that clients are told to connect to"),
    "--rules": (("rules", "path"), "PATH", "rule file, or a directory of *.yaml and *.yml files"),
    "--admin": (("admin", "address"), "HOST:PORT", "port of /livez, /readyz and /metrics"),
    "--log-level": (("log", "level"), "LEVEL", "debug, info, warning or error"),
    "--log-format": (("log", "format"), "FORMAT", "json or console"),
}

_EPILOG = """\
Options win over environment variables, these over the file. A variable is named by the path of the value:
WIREMASK_ADMIN__ADDRESS is admin.address, WIREMASK_LISTENERS__0__ADVERTISED_HOST is advertisedHost of the first
listener. `wiremask config` prints every setting with its value.
"""


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser that knows --config and the options for single values."""
    made = argparse.ArgumentParser(
        prog=f"wiremask {command}",
        description=description,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--config", metavar="FILE", type=Path, help="configuration file (YAML); none is needed")
    for option, (_, metavar, meaning) in _SETTINGS.items():
        made.add_argument(option, metavar=metavar, help=meaning)
    return made


def configuration(arguments: argparse.Namespace) -> Config | None:
    """The effective configuration; None if it is invalid, each fault being told on standard error."""
    options: dict[KeyPath, tuple[str, object]] = {}
    for option, (path, _, _) in _SETTINGS.items():
        value = getattr(arguments, option.removeprefix("--").replace("-", "_"))
        if value is not None:
            options[path] = (option, value.split(",") if option == "--upstream" else value)
    try:
        return load(arguments.config, options=options)
    except ConfigInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        return None
