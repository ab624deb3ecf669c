"""One target by atheris, which sees the branches of Python code (the compiled kernels are the part of `fuzz.run`).

    PYTHONPATH=tests python -m fuzz.guided TARGET [options of libFuzzer, then corpora]

It goes on after nothing: the first finding ends it, and libFuzzer writes the input beside its trace.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wiremask", "ruamel"]):
    from fuzz import targets


def main() -> None:
    """Fuzzes until it is stopped or finds something."""
    target = sys.argv.pop(1)
    atheris.Setup(sys.argv, targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
