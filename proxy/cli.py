"""The command `wiremask`.

`run` and `config` read their options with argparse and import nothing that they do not need: a sidecar's start is part
of every pod's start. The other commands are for people and are made with typer (`wiremask.proxy.commands.app`).

Exit codes: 0 done, 1 invalid rules or a failure, 2 wrong usage or configuration, 3 a value was refused (`mask`,
`reveal`), 4 done with something to look at: less is masked (`diff`), warnings (`check --strict`),
something left out (`import-connect`).
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Pydantic would search every installed package for plugins, 20 ms at each start; nothing here uses one.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        return _dispatch(given)
    except SystemExit as leave:  # argparse and typer end so, after a usage message or --help
        return leave.code if isinstance(leave.code, int) else FAILED if leave.code else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output is gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # the interpreter's traceback would quote what was being worked on
        from wiremask.proxy.log import logger  # noqa: PLC0415

        logger().error("unexpected failure", exc_info=error)
        return FAILED


def _dispatch(given: list[str]) -> int:
    if given[:1] == ["run"]:
        # Nothing of what a start makes can go yet, so nobody looks for it; the server turns the collector on again.
        gc.disable()
        try:
            from wiremask.proxy.commands.run import run  # noqa: PLC0415

            return run(given[1:])
        finally:
            gc.enable()
    if given[:1] == ["config"]:
        from wiremask.proxy.commands.show import show  # noqa: PLC0415

        return show(given[1:])
    from wiremask.proxy.commands.app import app  # noqa: PLC0415

    app(args=given, prog_name="wiremask")
    return 0
