"""Client libraries of other languages and versions, installed and compiled once per machine.

A program of ours that changed is compiled anew (`built.py`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support import kafka
from support.built import ToolchainMissing, cached, run, tool

PROGRAMS = Path(__file__).parent.parent / "clients"
"""The sources of the client programs, a folder for each language."""

_POM = PROGRAMS / "java" / "pom.xml"

__all__ = [
    "ToolchainMissing",
    "go_program",
    "java_classpath",
    "java_jars",
    "java_tools",
    "node_modules",
    "python_packages",
]


def java_classpath(version: str) -> str:
    """A class path with the Java program compiled for kafka-clients of that version, and its jars.

    Raises:
        ToolchainMissing: no javac or mvn, or one of them failed.
    """
    # Share groups came with kafka-clients 4.1; the program finds the class by name, so an older version does without it.
    sources = [
        file for file in sorted(_POM.parent.glob("*.java")) if _has_share_groups(version) or "Share" not in file.name
    ]

    def compile_program(folder: Path) -> None:
        javac = [tool("javac", "a Java 17+ development kit"), "--release", "17", "-nowarn", "-d", str(folder)]
        run([*javac, "-cp", f"{jars}/*", *map(str, sources)], cwd=folder)

    jars = java_jars(version)
    return f"{cached('clients', f'java-{version}', [_POM, *sources], compile_program)}:{jars}/*"


def java_jars(version: str) -> Path:
    """The folder with kafka-clients of that version and what it needs.

    Raises:
        ToolchainMissing: no mvn, or it failed.
    """
    return _jars(_POM, f"kafka-clients-{version}", version)


def java_tools(version: str) -> Path:
    """The folder with the command-line tools of that version and what they need.

    Raises:
        ToolchainMissing: no mvn, or it failed.
    """
    return _jars(kafka.POM, f"kafka-tools-{version}", version)


def _jars(pom: Path, name: str, version: str) -> Path:
    def copy(folder: Path) -> None:
        maven = [tool("mvn", "Maven"), "-q", "-B", "-f", str(pom), f"-Dkafka.version={version}"]
        run([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"], cwd=folder)

    return cached("clients", name, [pom], copy)


def go_program(name: str) -> Path:
    """The compiled Go program of that name.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    source = PROGRAMS / "go"

    def build(folder: Path) -> None:
        go = [tool("go", "Go"), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", f"{folder}/", "./..."]
        run(go, cwd=source, env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})

    return cached("clients", "go", [source / "go.mod", source / "go.sum", *sorted(source.rglob("*.go"))], build) / name


def node_modules() -> Path:
    """The folder to resolve Node packages from.

    Raises:
        ToolchainMissing: there is no node or npm, or npm failed.
    """
    tool("node", "Node.js")
    locked = [PROGRAMS / "node" / name for name in ("package.json", "package-lock.json")]

    def build(folder: Path) -> None:
        for file in locked:
            shutil.copy(file, folder)
        run([tool("npm", "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    return cached("clients", "node", locked, build) / "node_modules"


def python_packages(requirement: str) -> Path:
    """A folder that holds one Python package of another version than the environment's, for `PYTHONPATH`.

    Raises:
        ToolchainMissing: pip failed.
    """

    def build(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        run([*pip, "--target", str(folder), requirement], cwd=folder)

    return cached("clients", requirement.replace("==", "-"), [], build)


def _has_share_groups(version: str) -> bool:
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= (4, 1)
