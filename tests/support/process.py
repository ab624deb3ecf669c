"""Child processes that end with the test process, and whose whole output is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_BYTES = 4_000

_SPAWNER = ThreadPoolExecutor(1, thread_name_prefix="spawn")
"""The kernel sends a child its parent-death signal when the *thread* that forked it ends, so one that stays does it."""


class Child:
    """One child process at a time, started as often as a test likes; its output is appended to `log`."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._env = dict(os.environ if env is None else env)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    @property
    def pid(self) -> int:
        """The process id of the running (or last) process."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, `None` while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process in a session of its own (a terminal's Ctrl-C is for the tests to handle)."""
        if self.running:
            raise RuntimeError("already running")
        # setpriv keeps the pid and has the kernel end the child with us, also after a SIGKILL of the test process.
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        with self.log.open("ab") as output:
            self._process = _SPAWNER.submit(
                subprocess.Popen,
                [*prefix, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            ).result()

    def signal(self, number: signal.Signals) -> None:
        """Sends one signal to the process, if it lives."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Waits for the end and returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.wait(timeout_s)

    def stop(self, *, timeout_s: float = 15.0) -> int | None:
        """SIGTERM, then SIGKILL after `timeout_s`; returns the exit code. Nothing happens if it is not running."""
        if not self.running:
            return self.exit_code
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """SIGKILL, and waits for the end."""
        if not self.running:
            return self.exit_code
        self.signal(signal.SIGKILL)
        return self.wait(10)

    def output(self) -> str:
        """Everything that the process has written so far, over all its starts."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def tail(self) -> str:
        """The end of the output, for the message of a failed test."""
        return self.output()[-TAIL_BYTES:]
