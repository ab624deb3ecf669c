"""The real `wiremask run`, as a child process with ports, files and output of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from support import ports
from support.process import Child
from support.rulefolder import IDLE_RULES, RuleFolder
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NODE_PORTS = 10
READY_S = 60.0


class ProxyProcess:
    """A wiremask proxy: `start`, look at it, change its rules, `terminate` or `kill`, `start` again on the same ports.

    Args:
        home: an empty folder for its configuration, rules and output.
        upstream: `host:port,...` of the brokers.
        host: the address of this machine that it listens at.
        rules: text of the first rule file; rules for a topic that no test uses when not given.
        configmap: the rule folder is laid out as a mounted Kubernetes ConfigMap.
        first_node: the lowest broker node id that has a port.
        node_ports: how many of them have one.
        listener: further keys of the one listener.
        more_listeners: whole entries of `listeners` beside it.
        settings: further sections of the configuration, or keys merged into a section that is written here.
        env: further environment variables, for example of keys.
        open_files: its hard limit of file descriptors.
    """

    def __init__(
        self,
        *,
        home: Path,
        upstream: str,
        host: str = "127.0.0.1",
        rules: str = IDLE_RULES["for others"],
        configmap: bool = False,
        first_node: int = 0,
        node_ports: int = NODE_PORTS,
        listener: Mapping[str, Any] | None = None,
        more_listeners: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        open_files: int | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._block = ports.reserve()
        self._host = host
        self.port = self._block.take(1 + node_ports)
        self.admin_port = self._block.take()
        self.first_node = first_node
        self.rules = RuleFolder(home / "rules", configmap=configmap)
        self.config = home / "wiremask.yaml"
        sections: dict[str, Any] = {
            "upstream": {"bootstrapServers": upstream.split(",")},
            "listeners": [
                {
                    "name": "default",
                    "address": f"{host}:{self.port}",
                    "advertisedHost": "127.0.0.1",
                    "nodes": {"first": first_node, "last": first_node + node_ports - 1},
                    **(listener or {}),
                },
                *more_listeners,
            ],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "rules": {"path": str(self.rules.path)},
            "log": {"level": "debug", "format": "json"},
        }
        self.rules.write(rules)
        for name, section in (settings or {}).items():
            sections[name] = {**sections.get(name, {}), **section}
        self.config.write_text(json.dumps(sections, indent=2))  # JSON is YAML
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WIREMASK_")}
        limited = [] if open_files is None else ["prlimit", f"--nofile={open_files}"]
        self._child = Child(
            [*limited, sys.executable, "-X", "faulthandler", "-m", "wiremask", "run", "--config", str(self.config)],
            log=home / "output.log",
            env={**clean, **(env or {})},
        )

    @property
    def bootstrap(self) -> str:
        """What a client is given as `bootstrap.servers`."""
        return f"{self._host}:{self.port}"

    @property
    def admin_url(self) -> str:
        """Where health and metrics are."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def pid(self) -> int:
        """Process id of the proxy."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child.running

    @property
    def exit_code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._child.exit_code

    def port_of(self, node: int) -> int:
        """The port of a broker node."""
        return self.port + 1 + node - self.first_node

    def start(self, *, wait: bool = True) -> None:
        """Starts the process; with `wait`, returns when `/readyz` says ready."""
        self._child.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, *, timeout_s: float = READY_S) -> None:
        """Waits for `/readyz`.

        Raises:
            Expired: the deadline passed; the text has the end of the proxy's output.
            RuntimeError: the process ended.
        """
        eventually(self._is_ready, timeout_s=timeout_s, what="the proxy ready")

    def wait_listening(self, *, timeout_s: float = READY_S) -> None:
        """Waits until the admin port answers, ready or not."""
        eventually(lambda: self.get("/livez")[0] == 200, timeout_s=timeout_s, what="the proxy alive")

    def terminate(self, *, timeout_s: float = 30.0) -> int:
        """SIGTERM, waits for the drain, and returns the exit code.

        Raises:
            AssertionError: it had to be killed.
        """
        self.ask_to_stop()
        return self.wait(timeout_s=timeout_s)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        self._child.signal(signal.SIGTERM)

    def wait(self, *, timeout_s: float = 30.0) -> int:
        """The exit code, once the process has ended by itself."""
        return self._child.wait(timeout_s)

    def kill(self) -> None:
        """The end without a drain."""
        self._child.kill()

    def restart(self, *, kill: bool = False) -> None:
        """Ends (drained or killed) and starts again on the same ports and files."""
        if kill:
            self.kill()
        else:
            self.terminate()
        self.start()

    def dispose(self) -> None:
        """Ends the process if it runs and gives its ports back."""
        self._child.stop(timeout_s=10)
        self._block.release()

    def output(self) -> str:
        """All that it wrote to standard output and standard error."""
        return self._child.output()

    def logs(self) -> list[dict[str, Any]]:
        """Its log lines as objects.

        Raises:
            AssertionError: a line of the output is no JSON object, so something else than the log wrote there.
        """
        lines = []
        for line in self.output().splitlines():
            assert line.startswith("{"), f"not a log line: {line[:200]}"
            lines.append(json.loads(line))
        return lines

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the admin port.

        Raises:
            OSError: nothing listens there.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether `/readyz` says ready, and its detail."""
        status, body = self.get("/readyz")
        return status == 200, json.loads(body)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name which have these labels; 0 when there are none."""
        _, body = self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def resident_bytes(self) -> int:
        """Memory of the process that is resident now."""
        size: int = psutil.Process(self.pid).memory_info().rss
        return size

    def descriptors(self) -> int:
        """Open file descriptors of the process."""
        count: int = psutil.Process(self.pid).num_fds()
        return count

    def peak_bytes(self) -> int:
        """The most memory that was ever resident in this process; Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def change_rules(self, text: str, *, outcome: str = "applied", name: str = "rules.yaml") -> None:
        """Replaces (or adds, under another name) the rule file and waits until the proxy has counted a reload with that outcome."""
        before = self.metric("wiremask_ruleset_reloads_total", outcome=outcome)
        self.rules.write(text, name=name)
        eventually(
            lambda: self.metric("wiremask_ruleset_reloads_total", outcome=outcome) > before, what=f"a reload {outcome}"
        )

    def says(self, *words: str) -> bool:
        """Whether one log line has all these words."""
        return any(all(word in line for word in words) for line in self.output().splitlines())

    def everything(self) -> str:
        """All that it shows anywhere: output, metrics, health. What a search for secrets goes through."""
        pages = (
            [self.get(path)[1] for path in ("/metrics", "/readyz", "/livez", "/startupz", "/")] if self.running else []
        )
        return "\n".join([self.output(), *pages])

    def _is_ready(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the proxy ended with {self.exit_code}:\n{self._child.tail()}")
        ready, detail = self.ready()
        assert ready, f"{detail}\n{self._child.tail()}"
        return True


def assert_absent(text: str | bytes, secrets: Sequence[str | bytes]) -> None:
    """No secret is in `text`. A failure names the secret's number, so that not even a test report holds it."""
    haystack = text.encode() if isinstance(text, str) else text
    found = [place for place, s in enumerate(secrets) if (s.encode() if isinstance(s, str) else s) in haystack]
    assert not found, f"secrets number {found} were shown"
