"""Reads the rule files of a path: bytes on a disk -> texts by file name.

A path is one file, or a directory of which every `*.yaml` and `*.yml` is a rule file. Hidden names are passed over: a
Kubernetes ConfigMap keeps its versions in hidden directories (`..2026_01_31`, `..data`) and shows each file as a
symbolic link into the current one. Links are followed; only regular files are read, and no more of them than the limits
say, so a path that leads to a device or a pipe is an error and not a hang.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.rules.errors import RuleError, RuleSetInvalid

if TYPE_CHECKING:
    from pathlib import Path

FILE_LIMIT_BYTES = 4 << 20
FILES_LIMIT = 1000
_ATTEMPTS = 5

Signature = tuple[tuple[str, int, int, int, int], ...]
"""What tells two states of some files apart without reading them: path, device, inode, size and mtime of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """The rule files of one moment.

    Attributes:
        directory: where they stand.
        texts: text by bare file name, so that a ruleset's digest does not depend on where it is mounted.
        watched: every directory in which a change can change these files.
    """

    directory: Path
    texts: dict[str, str] = field(repr=False)
    watched: frozenset[Path]


def read_rule_files(path: Path) -> RuleFiles:
    """Reads the rule file or directory at `path`.

    All files are of one moment: where something changed while they were read (a ConfigMap is swapped as a whole), they
    are read again.

    Raises:
        RuleSetInvalid: there are none, or one cannot be read; each fault is named with its file.
    """
    for _ in range(_ATTEMPTS):
        names = _rule_files(path)
        before = signature(names)
        texts = _read_all(names)
        if signature(_rule_files(path)) == before:
            return RuleFiles(
                directory=path if path.is_dir() else path.parent,
                texts=texts,
                watched=watched_directories([path, *names]),
            )
    raise _invalid(path, "the rule files change faster than they can be read; write them once, in one step")


def signature(paths: list[Path]) -> Signature:
    """The state of some files; a missing one is told apart from every other state."""
    state = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            state.append((str(path), 0, 0, -1, 0))
        else:
            state.append((str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(state)


def watched_directories(paths: list[Path]) -> frozenset[Path]:
    """The directories in which these files, and the links on the way to them, can be replaced.

    A directory counts itself, not by the one that holds it: what else goes on there (it may be /tmp) is no news. If it
    is moved away for another of its name, the next rescan finds out.
    """
    directories = set()
    for start in paths:
        try:
            real = start.resolve()
            directories.add(real if real.is_dir() else real.parent)
            if not real.is_dir():
                directories.add(start.absolute().parent)
            for step in (start.absolute(), *start.absolute().parents):
                # Replacing a link is how a version is swapped.
                if step.is_symlink():
                    directories.add(step.parent)
        except (OSError, RuntimeError):
            continue  # links in a circle, or no right to look: reading it reports that
    return frozenset(directory for directory in directories if directory.is_dir())


def read_text(path: Path, limit_bytes: int) -> str:
    """Reads a regular file of at most `limit_bytes` as UTF-8.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is too long, or no UTF-8 (UnicodeDecodeError). The text is safe to show.
    """
    # Not blocking: opening a pipe that nobody writes to would wait for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is not a regular file")
        with open(handle, "rb", closefd=False) as file:
            content = file.read(limit_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > limit_bytes:
        raise ValueError(f"it is longer than {limit_bytes} bytes")
    return content.decode("utf-8")


def _rule_files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        found = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix in {".yaml", ".yml"} and not entry.name.startswith(".") and not entry.is_dir()
        )
    except OSError as error:
        message = f"cannot be read ({error.strerror}); name a rule file or a directory that holds some"
        raise _invalid(path, message) from None
    if not found:
        raise _invalid(path, "holds no *.yaml or *.yml file; put a rule file there")
    if len(found) > FILES_LIMIT:
        raise _invalid(path, f"holds more than {FILES_LIMIT} rule files; join them")
    return found


def _read_all(files: list[Path]) -> dict[str, str]:
    texts, errors = {}, []
    for file in files:
        try:
            texts[file.name] = read_text(file, FILE_LIMIT_BYTES)
        except UnicodeDecodeError as error:
            before = bytes(error.object[: error.start]).split(b"\n")
            column = len(before[-1].decode("utf-8", "replace")) + 1
            errors.append(_fault(file, "is not UTF-8 here; save the file as UTF-8", line=len(before), column=column))
        except OSError as error:
            errors.append(_fault(file, f"cannot be read: {error.strerror}"))
        except ValueError as error:
            errors.append(_fault(file, f"cannot be used: {error}"))
    if errors:
        raise RuleSetInvalid(errors)
    return texts


def _fault(path: Path, message: str, *, line: int = 1, column: int = 1) -> RuleError:
    return RuleError(file=str(path), line=line, column=column, message=message)


def _invalid(path: Path, message: str) -> RuleSetInvalid:
    return RuleSetInvalid([_fault(path, message)])
