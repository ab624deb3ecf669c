"""What the demo shows: colours on a terminal, plain text in a pipe."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from wiremask.proxy.demo.journey import CHANGE, FIELDS, MASKED_WHEN_READ, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.proxy.demo.cluster import Cluster
    from wiremask.proxy.demo.journey import Journey

PIPED_COLUMNS = 100
CLEAR, MASKED = "red", "bold green"


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)

    def print_places(self, cluster: Cluster, proxy: str) -> None:
        """Who listens where."""
        self._print("wiremask demo", "bold")
        self._print(f"  broker  {cluster.bootstrap}  {cluster.kind}; topic {cluster.topic}")
        self._print(
            f"  proxy   {proxy}  producer and consumer are given this address, and nothing else changed for them"
        )

    def print_heading(self, text: str) -> None:
        """The next part."""
        self.console.print()
        self._print(text, "bold")

    def print_rules(self, text: str) -> None:
        """A rule file."""
        highlighted = Syntax("", "yaml", theme="ansi_dark", background_color="default").highlight(text)
        highlighted.rstrip()
        for line in highlighted.split():
            self.console.print(Text("  ") + line, soft_wrap=True)

    def print_change(self) -> None:
        """The line of the rule file that changes."""
        before, after = CHANGE
        self._print(f"  - {before}", "red")
        self._print(f"  + {after}", "green")

    def print_journeys(self, journeys: Sequence[Journey]) -> None:
        """The table: a section for each record, its fields below each other, the places side by side."""
        table = Table(box=box.ROUNDED)
        for title in ("", "sent by the producer", "stored on the broker", "read by the consumer"):
            table.add_column(title, overflow="fold")
        for journey in journeys:
            sent, *later = (leaves(value) for value in (journey.sent, journey.stored, journey.read))
            for name in FIELDS:
                table.add_row(Text(name, "dim"), *(_cell(name, sent[name], place[name]) for place in (sent, *later)))
            table.add_section()
        self.console.print(table)

    def print_verdict(self, faults: Sequence[str], *, checked: int) -> None:
        """What the demo found when it checked what it had shown."""
        self.console.print()
        for fault in faults:
            self._print(f"FAILED: {fault}", "bold red")
        if not faults:
            self._print(
                f"Verified on {checked} records: no card or social security number is on the broker, no name or\n"
                "e-mail address reached the consumer, and each byte that no rule names came through as it was sent.",
                MASKED,
            )

    def print_next(self, topic: str) -> None:
        """What to do now."""
        program = _program()
        self._print("Next: save the rules above as rules/demo.yaml, then")
        for command in (
            f"{program} check rules/",
            f"""echo '{{"customer": {{"ssn": "987-65-4320"}}}}' | {program} mask --rules rules/ --topic {topic}""",
            f"{program} run --upstream kafka:9092 --rules rules/",
        ):
            self._print(f"  {command}", "cyan")

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=True)


def _cell(name: str, sent: str, now: str) -> Text:
    """A field at one place: what was masked in green; in red what a rule names, but is in clear here."""
    if now == sent:
        return Text(now, CLEAR if name in MASKED_WHEN_READ else "")
    if len(now) != len(sent):
        return Text(now, MASKED)
    return Text.assemble(*_characters(sent, now))


def _characters(sent: str, now: str) -> Iterator[tuple[str, str]]:
    for before, after in zip(sent, now, strict=True):
        yield after, "" if before == after else MASKED


def _program() -> str:
    """How wiremask is called from where the user is."""
    beside = Path(sys.executable).with_name("wiremask")
    if shutil.which("wiremask") is not None or not beside.exists():
        return "wiremask"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
