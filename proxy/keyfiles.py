"""Key material from where a rule file says it lies: an environment variable, or a file such as a mounted secret.

The rule language takes absolute file names only, so a key does not depend on where a process was started. Nothing here
keeps, logs or quotes a key: errors name the variable or the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wiremask.proxy.rulefiles import Signature, read_text, signature
from wiremask.rules.errors import KeyUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wiremask.rules import KeyReference

_LIMIT_BYTES = 4096


class KeyFiles:
    """Resolves the key references of one ruleset, and remembers the files that they led to."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._seen: dict[Path, Signature] = {}

    @property
    def files(self) -> list[Path]:
        """The files that were asked for, also those that could not be read."""
        return list(self._seen)

    def have_changed(self) -> bool:
        """Whether a key file is not what it was when it was read."""
        return any(signature([path]) != seen for path, seen in self._seen.items())

    def resolve(self, reference: KeyReference) -> str:
        """The text of a key, with its `base64:` or `hex:` in front.

        Raises:
            KeyUnavailable: the variable is not set, or the file cannot be read.
        """
        if reference.env is not None:
            text = self._env.get(reference.env)
            if not text:
                raise KeyUnavailable(f"the environment variable {reference.env} is not set")
            return text
        if reference.file is None:
            raise KeyUnavailable("neither env nor file is given")
        path = Path(reference.file)
        self._seen[path] = signature([path])  # before reading: a change in between is noticed later
        try:
            text = read_text(path, _LIMIT_BYTES)
        except UnicodeDecodeError:
            # Not the error's own words: they quote a byte of the key.
            raise KeyUnavailable(f"the file {path} holds no text") from None
        except OSError as error:
            raise KeyUnavailable(f"the file {path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise KeyUnavailable(f"the file {path} cannot be used: {error}") from None
        if not text.strip():
            raise KeyUnavailable(f"the file {path} is empty")
        return text
