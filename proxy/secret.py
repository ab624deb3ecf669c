"""Secrets of the configuration: never written there, only where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import model_validator

from wiremask.proxy.model import Section
from wiremask.proxy.rulefiles import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMIT_BYTES = 65_536


class SecretUnavailable(Exception):
    """A secret that is not where the configuration says; the text names the place, and holds nothing of it."""


class SecretConfig(Section):
    """Where a secret is: exactly one of the two."""

    env: str | None = None
    """The name of an environment variable."""

    file: Path | None = None
    """A file, such as a mounted Kubernetes secret. It is read each time that the secret is used; a line feed at its end
    does not count."""

    @model_validator(mode="after")
    def _is_one_place(self) -> SecretConfig:
        if (self.env is None) == (self.file is None):
            raise ValueError("write where the secret is: {env: NAME} or {file: PATH}")
        return self

    def read(self, env: Mapping[str, str] = os.environ) -> str:
        """The secret.

        Raises:
            SecretUnavailable: it is not there.
        """
        if self.env is not None:
            text = env.get(self.env, "")
            place = f"the environment variable {self.env}"
        else:
            assert self.file is not None
            place = f"the file {self.file}"
            try:
                text = read_text(self.file, _LIMIT_BYTES)
            except UnicodeDecodeError:
                raise SecretUnavailable(f"{place} holds no text") from None
            except OSError as error:
                raise SecretUnavailable(f"{place} cannot be read: {error.strerror}") from None
            except ValueError as error:
                raise SecretUnavailable(f"{place} cannot be used: {error}") from None
            text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise SecretUnavailable(f"{place} is not set, or empty")
        return text
