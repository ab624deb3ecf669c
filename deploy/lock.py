"""Resolves requirements.lock anew: the newest releases that pyproject.toml allows, exactly, each with its licence.

Run by `make lock` with any Python 3.11+; it works in a fresh virtual environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LICENCES = """
import importlib.metadata, json
found = {}
for dist in importlib.metadata.distributions():
    meta = dist.metadata
    classified = [c.rsplit(" :: ", 1)[-1] for c in meta.get_all("Classifier", []) if c.startswith("License ::")]
    text = meta.get("License-Expression") or " / ".join(classified) or (meta.get("License") or "?").splitlines()[0]
    found[meta["Name"]] = (dist.version, text)
print(json.dumps(found))
"""


def main() -> None:
    """Writes requirements.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(install, check=True)
        found: dict[str, tuple[str, str]] = json.loads(subprocess.check_output([python, "-c", LICENCES]))
    lines = [
        "# Every package that the Makefile installs, exactly, with its licence. Made by `make lock`.",
        f"# Resolved with Python {sys.version_info.major}.{sys.version_info.minor}.",
    ]
    for name, (version, licence) in sorted(found.items(), key=lambda entry: entry[0].lower()):
        if name.lower() != "pip":
            lines.append(f"{name}=={version}".ljust(40) + f"# {licence}")
    (ROOT / "requirements.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
