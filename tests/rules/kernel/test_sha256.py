"""SHA-256 and HMAC of the C header that all keyed masks share: the published vectors, in both forms."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wiremask.rules.maskers.prf import choose_sha256, hmac_texts

Hmac = Callable[[bytes, bytes], bytes]
KERNEL = Path(__file__).parents[3] / "rules" / "kernel"
SOURCE = r"""#include "sha256.h"
void hmac(int portable, const uint8_t *key, size_t size, const uint8_t *text, size_t length, uint8_t *out)
{
    hmac_t hmac;
    sha256_choose(portable);
    hmac_set_up(&hmac, key, size);
    hmac_text(&hmac, text, length, out);
}
"""

# RFC 4231 section 4, by the number of the case (the fifth is cut short): key, data, HMAC-SHA-256.
VECTORS = {
    1: (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    2: (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    3: (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    4: (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    6: (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    7: (b"\xaa" * 131, (b"This is a test using a larger than block-size key and a larger than block-size data. "
                        b"The key needs to be hashed before being used by the HMAC algorithm."),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
}  # fmt: skip


def of_block(key: bytes) -> bytes:
    """The key that HMAC makes of one longer than a block (RFC 2104 section 2); our keys are never so long."""
    return key if len(key) <= 64 else hashlib.sha256(key).digest()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The header alone, for any bytes: the masks give it only texts, and keys of 32 bytes."""
    folder = tmp_path_factory.mktemp("hmac")
    source, library = folder / "hmac.c", folder / "hmac.so"
    source.write_text(SOURCE)
    command = [*shlex.split(os.environ.get("CC", "cc")), "-O3", "-shared", "-fPIC", f"-I{KERNEL}"]
    subprocess.run([*command, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(params=["best", "portable"])
def hmac(request: pytest.FixtureRequest, library: ctypes.CDLL) -> Hmac:
    def run(key: bytes, text: bytes) -> bytes:
        out = ctypes.create_string_buffer(32)
        sizes = [ctypes.c_size_t(len(given)) for given in (key, text)]
        library.hmac(request.param == "portable", key, sizes[0], text, sizes[1], out)
        return out.raw

    return run


@pytest.fixture(params=["best", "portable"])
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    choose_sha256(portable=request.param == "portable")
    yield
    choose_sha256(portable=False)


@pytest.mark.parametrize(("key", "text", "digest"), VECTORS.values(), ids=map(str, VECTORS))
def test_hmac_is_that_of_rfc_4231(hmac: Hmac, key: bytes, text: bytes, digest: str) -> None:
    assert hmac(of_block(key), text).hex() == digest


@pytest.mark.parametrize("case", [case for case, (_, text, _) in VECTORS.items() if text.isascii()])
@pytest.mark.usefixtures("form")
def test_hmac_of_the_masks_is_that_of_rfc_4231(case: int) -> None:
    key, text, digest = VECTORS[case]

    # To HMAC a key is the same with zeros up to a block after it, so a short one can be made 32 bytes long.
    assert hmac_texts(of_block(key).ljust(32, b"\0"), [text.decode()]).hex() == digest
