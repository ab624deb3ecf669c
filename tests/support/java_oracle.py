"""The Java client's own codecs as an oracle for message bodies, in one process for many of them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Literal, Self

from support import toolchains

if TYPE_CHECKING:
    from types import TracebackType

VERSION = "4.4.0"
"""Of kafka-clients: the first that knows ApiVersions 5."""


class JavaOracle:
    """Runs `tests/clients/java/Oracle.java` for the length of a `with` block.

    Raises:
        ToolchainMissing: there is no Java or Maven here.
    """

    def __init__(self) -> None:
        java = shutil.which("java") or "java"
        command = [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", toolchains.java_classpath(VERSION)]
        self._process = subprocess.Popen(
            [*command, "Oracle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def written(self, kind: Literal["request", "response"], key: int, version: int, body: bytes) -> bytes | None:
        """A body as Java writes it once it has read it; None if Java refuses it or leaves bytes over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind} {key} {version} {body.hex()}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        return None if answer == "refused" else bytes.fromhex(answer)
