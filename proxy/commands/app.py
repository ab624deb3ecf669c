"""The commands for people, as one typer application."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wiremask.rules.model.condition import Claims
    from wiremask.rules.model.onepart import OnePart

__all__ = ["app"]

app = typer.Typer(
    help="A transparent Kafka proxy that masks fields in records on the wire.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # Its tracebacks show local variables: records, in `mask`.
    pretty_exceptions_enable=False,
)

_RULES = "A rule file, or a directory of rule files."
_KEY = "What stands on standard input is a record's key."
_HEADER = "What stands on standard input is the value of a header of this name."
_FORM = "text: a table on a terminal, lines with tabs in a pipe. json: one document on standard output."

# Read by their own parsers before typer is imported (see `wiremask.proxy.cli`); here for the list of commands.
_ELSEWHERE = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


class At(StrEnum):
    """Where a value is masked."""

    PRODUCE = "produce"
    FETCH = "fetch"


class Form(StrEnum):
    """How a command prints."""

    TEXT = "text"
    JSON = "json"


def _one_part(*, key: bool, header: str | None) -> OnePart:
    from wiremask.rules.model.onepart import OnePart  # noqa: PLC0415

    if key and header is not None:
        raise typer.BadParameter("there is one thing on standard input; give --key or --header")
    return OnePart(key=key, header=header)


def _claims(text: str | None) -> Claims | None:
    from wiremask.rules.model.condition import Claims  # noqa: PLC0415

    if text is None:
        return None
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    claims = Claims.of(read) if isinstance(read, dict) else None
    if claims is None:
        raise typer.BadParameter("claims are a JSON object, as the payload of an access token has them")
    return claims


@app.command(context_settings=_ELSEWHERE)
def run(context: typer.Context) -> None:
    """Run the proxy."""
    from wiremask.proxy.commands.run import run as serve  # noqa: PLC0415

    raise typer.Exit(serve(context.args))


@app.command()
def demo(
    bootstrap: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A real cluster, instead of the embedded broker.")
    ] = None,
) -> None:
    """Show masking on the wire, before and after."""
    from wiremask.proxy import demo as show  # noqa: PLC0415 - needs clients that are installed for it alone

    raise typer.Exit(show.main(bootstrap))


@app.command()
def check(
    rules: Annotated[Path, typer.Argument(metavar="RULES", exists=True, help=_RULES)],
    form: Annotated[Form, typer.Option("--format", help=_FORM)] = Form.TEXT,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end the command with exit code 4.")] = False,
) -> None:
    """Check rules, run their tests, list them.

    Exit code 1 if they are invalid: each fault is then told on standard error, as file:line:column and what to write
    instead. Warnings are of rules that never act and conditions that anybody can get round; notes, of rules that
    overlap and which of them wins. The keys that the rules name must be there, as at run time.
    """
    from wiremask.proxy.commands.check import check as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(rules, form.value, strict=strict))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", exists=True, help=_RULES)],
    new: Annotated[Path, typer.Argument(metavar="NEW", exists=True, help=_RULES)],
    form: Annotated[Form, typer.Option("--format", help=_FORM)] = Form.TEXT,
) -> None:
    """Tell what one ruleset masks less, more or otherwise than another.

    Exit code 0 if the new rules mask as much as the old ones or more, 4 if they mask anything less, or nobody can prove
    that they do not; 1 if one of them is invalid. Keys are not needed, and tests do not run.
    """
    from wiremask.proxy.commands.diff import diff as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(old, new, form.value))


@app.command()
def explain(
    rules: Annotated[Path, typer.Argument(metavar="RULES", exists=True, help=_RULES)],
    topic: Annotated[str, typer.Option(help="The topic that is written to or read from.")],
    at: Annotated[At | None, typer.Option(help="One direction; both unless given.")] = None,
    *,
    principal: Annotated[
        str | None, typer.Option(metavar="User:NAME", help="Who writes or reads; not known unless given.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="What the client calls itself; not known unless given.")] = None,
    listener: Annotated[
        str | None, typer.Option(help="The listener that it came in by; not known unless given.")
    ] = None,
    claims: Annotated[
        str | None, typer.Option(metavar="JSON", help="What its access token says; not known unless given.")
    ] = None,
    key: Annotated[bool, typer.Option("--key", help=_KEY)] = False,
    header: Annotated[str | None, typer.Option(metavar="NAME", help=_HEADER)] = None,
    form: Annotated[Form, typer.Option("--format", help=_FORM)] = Form.TEXT,
) -> None:
    """Tell which rules act on a topic, in order, and why the others do not.

    With a record's value (or key, or header) on standard input, also tell for each field of it which rule decides it;
    no value is printed.
    Exit code 3 if the rules refuse the record.
    """
    from wiremask.proxy.commands.explain import explain_rules  # noqa: PLC0415
    from wiremask.rules.model.condition import Client  # noqa: PLC0415
    from wiremask.rules.model.rule import DIRECTIONS  # noqa: PLC0415

    directions = [one for one in DIRECTIONS if at is None or at.value == one]
    client = Client(principal=principal, client_id=client_id, listener=listener, claims=_claims(claims))
    raise typer.Exit(
        explain_rules(rules, topic, directions, client, form.value, part=_one_part(key=key, header=header))
    )


@app.command()
def mask(
    rules: Annotated[Path, typer.Option(exists=True, help=_RULES)],
    topic: Annotated[str, typer.Option(help="The topic that the value is written to or read from.")],
    at: Annotated[At, typer.Option(help="Where it is masked.")] = At.PRODUCE,
    *,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of the input is a value of its own.")] = False,
    principal: Annotated[
        str | None, typer.Option(metavar="User:NAME", help="Who writes or reads it; not known unless given.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="What the client calls itself; not known unless given.")] = None,
) -> None:
    """Mask a value from standard input.

    The masked value goes to standard output, to the last byte and without a line feed of its own. A value that the
    rules refuse ends the command with exit code 3 and prints nothing. With --lines, each line is masked and printed as
    it comes; the first that is refused ends the command with exit code 3, its number on standard error.
    """
    from wiremask.proxy.commands.mask import mask as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(rules, topic, at.value, by_line=lines, principal=principal, client_id=client_id))


@app.command()
def reveal(
    rules: Annotated[Path, typer.Option(exists=True, help=_RULES)],
    topic: Annotated[str, typer.Option(help="The topic that the value comes from.")],
    at: Annotated[At, typer.Option(help="Where it was masked.")] = At.PRODUCE,
    *,
    key: Annotated[bool, typer.Option("--key", help=_KEY)] = False,
    header: Annotated[str | None, typer.Option(metavar="NAME", help=_HEADER)] = None,
) -> None:
    """Undo the masks `encrypt` and `fpe` in a value (or key, or header) from standard input.

    The keys that the rules name must be there. The value goes to standard output; fields with other masks stay masked.
    A value with a field that these rules have not encrypted ends the command with exit code 3 and prints nothing.
    """
    from wiremask.proxy.commands.reveal import reveal as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(rules, topic, at.value, _one_part(key=key, header=header)))


@app.command(name="import-connect")
def import_connect(
    connector: Annotated[
        Path, typer.Argument(metavar="CONNECTOR", exists=True, help="A connector's configuration, JSON.")
    ],
    topics: Annotated[str, typer.Option(help="Its topics, with commas, where the configuration does not tell.")] = "",
) -> None:
    """Turn the masking transforms of a Kafka Connect connector into rules.

    MaskField and ReplaceField, for values and keys, with their predicates. The rules go to standard output; what could
    not be carried over is told on standard error, and ends the command with exit code 4.
    """
    from wiremask.proxy.commands.importconnect import import_connect as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(connector, [one.strip() for one in topics.split(",") if one.strip()]))


@app.command()
def schema() -> None:
    """Print the JSON Schema of rule files, for editors."""
    import json  # noqa: PLC0415

    from wiremask.rules.language.schema import rule_schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(rule_schema(), indent=2) + "\n")


@app.command()
def keygen() -> None:
    """Print a new key, for a file or an environment variable that a rule file names."""
    import base64  # noqa: PLC0415
    import secrets  # noqa: PLC0415

    sys.stdout.write(f"base64:{base64.b64encode(secrets.token_bytes(32)).decode('ascii')}\n")


@app.command()
def credential(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The client's user name.")],
    mechanism: Annotated[
        str, typer.Option(help="SCRAM-SHA-256 or SCRAM-SHA-512; PLAIN takes either.")
    ] = "SCRAM-SHA-256",
    iterations: Annotated[
        int, typer.Option(help="What a guess at the password costs.", min=4096, max=1_000_000)
    ] = 32768,
) -> None:
    """Print a line for the file listeners[].sasl.credentials.

    The password is asked for at a terminal, or is the first line of standard input.
    """
    from wiremask.proxy.commands.credential import credential as carry_out  # noqa: PLC0415

    raise typer.Exit(carry_out(name, mechanism, iterations))


@app.command(context_settings=_ELSEWHERE)
def config(context: typer.Context) -> None:
    """Print the effective configuration."""
    from wiremask.proxy.commands.show import show  # noqa: PLC0415

    raise typer.Exit(show(context.args))


@app.command()
def webhook(
    file: Annotated[Path, typer.Option("--config", metavar="FILE", exists=True, help="Its configuration (YAML).")],
) -> None:
    """Serve the admission webhook of Kubernetes, which adds the proxy to pods and checks ConfigMaps of rules."""
    try:
        from wiremask.proxy.commands.webhook import webhook as serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        sys.stderr.write('the webhook needs aiohttp: pip install "wiremask[webhook]"\n')
        raise typer.Exit(1) from None
    raise typer.Exit(serve(file))


@app.command()
def version() -> None:
    """Print the version."""
    from wiremask import __version__  # noqa: PLC0415

    sys.stdout.write(f"wiremask {__version__}\n")
