"""Published vectors of the key derivation and the sealing; HMAC's are in kernel/test_sha256.py, FF1's in maskers/test_prf.py.

Where ours fixes a parameter that a vector varies, the vector tests the function that ours calls, and a test next to it that
ours is that function with our parameters.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wiremask.rules.keys import derive_subkey
from wiremask.rules.maskers.sealing import SealMask, _decrypt
from wiremask.rules.model.masks import Encrypt, SealingKey

X = bytes.fromhex

# RFC 5869 appendix A.1 to A.3: key, salt, info, output.
HKDF_VECTORS = {
    "A.1": (b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
    "A.2": (bytes(range(80)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)),
            ("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
             "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")),
    "A.3": (b"\x0b" * 22, None, b"",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
}  # fmt: skip

# RFC 5297 appendix A.1 and A.2 (it has none for our 64 bytes of key): key, what is authenticated, plaintext, output.
SIV_VECTORS = {
    "A.1": ("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
            ["101112131415161718191a1b1c1d1e1f2021222324252627"], "112233445566778899aabbccddee",
            "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"),
    "A.2": ("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
            ["00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
             "102030405060708090a0", "09f911029d74e35bd84156c5635688c0"],
            b"this is some plaintext to encrypt using SIV-AES".hex(),
            ("7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
             "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d")),
}  # fmt: skip

# RFC 8452 appendix C.2: key, nonce, what is authenticated, plaintext, ciphertext and tag.
ONE, THREE = "01" + "00" * 31, "03" + "00" * 11
GCM_SIV_VECTORS = [
    (ONE, THREE, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    (ONE, THREE, "", "0100000000000000", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    (ONE, THREE, "01", "02" + "00" * 15, "c91545823cc24f17dbb0e9e807d5ec17b292d28ff61189e8e49f3875ef91aff7"),
    (ONE, THREE, "01" + "00" * 15 + "0200", "03" + "00" * 15 + "04000000",
     "43dd0163cdb48f9fe3212bf61b201976067f342bb879ad976d8242acc188ab59cabfe307"),
    ("bae8e37fc83441b16034566b7a806c46bb91c3c5aedb64a6c590bc84d1a5e269", "e4b47801afc0577e34699b9e", "4fbdc66f14",
     "671fdd", "0eaccb93da9bb81333aee0c785b240d319719d"),
    ("3c535de192eaed3822a2fbbe2ca9dfc88255e14a661b8aa82cc54236093bbc23", "688089e55540db1872504e1c",
     "734320ccc9d9bbbb19cb81b2af4ecbc3e72834321f7aa0f70b7282b4f33df23f167541",
     "ced532ce4159b035277d4dfbb7db62968b13cd4eec",
     "626660c26ea6612fb17ad91e8e767639edd6c9faee9d6c7029675b89eaf4ba1ded1a286594"),
]  # fmt: skip


def sealed(texts: list[str], key: SealingKey, *, deterministic: bool) -> list[bytes]:
    """What `encrypt` makes of strings at `p` in the topic `t`, without its head."""
    mask = Encrypt(key="k", version="v", versions=(("v", key),), deterministic=deterministic, path="p")
    made = SealMask(mask, "t").mask(texts, b"s" * len(texts))
    return [base64.urlsafe_b64decode((text or "").removeprefix("wm1:k:v:") + "==") for text in made]


BOUND = b"\0\0\0\x13wiremask/v1/encrypt" + b"".join(b"\0\0\0\1" + part for part in (b"t", b"p", b"k", b"v"))
TEXTS = ["", "a", "é" * 8, "x" * 100]


@pytest.mark.parametrize(("key", "salt", "info", "output"), HKDF_VECTORS.values(), ids=HKDF_VECTORS)
def test_hkdf_is_that_of_rfc_5869(key: bytes, salt: bytes | None, info: bytes, output: str) -> None:
    hkdf = HKDF(algorithm=SHA256(), length=len(output) // 2, salt=salt, info=info)

    assert hkdf.derive(key).hex() == output


@pytest.mark.parametrize("key", [vector[0] for vector in HKDF_VECTORS.values()], ids=HKDF_VECTORS)
def test_subkey_is_that_hkdf_without_salt(key: bytes) -> None:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"wiremask/v1\0token\0card")

    assert derive_subkey(key, "token", "card") == hkdf.derive(key)


@pytest.mark.parametrize(("key", "bound", "plain", "output"), SIV_VECTORS.values(), ids=SIV_VECTORS)
def test_aes_siv_is_that_of_rfc_5297(key: str, bound: list[str], plain: str, output: str) -> None:
    assert AESSIV(X(key)).encrypt(X(plain), [X(part) for part in bound]).hex() == output


def test_sealing_is_that_aes_siv_and_opens_its_vector() -> None:
    key, bound, plain, output = SIV_VECTORS["A.1"]
    ours = SealingKey(random=bytes(32), deterministic=X(key))

    made = sealed(TEXTS, ours, deterministic=True)

    assert made == [b"d" + AESSIV(X(key)).encrypt(b"s" + text.encode(), [BOUND]) for text in TEXTS]
    assert _decrypt(ours, b"d" + X(output), X(bound[0])) == X(plain)


@pytest.mark.parametrize(("key", "nonce", "bound", "plain", "output"), GCM_SIV_VECTORS, ids=range(len(GCM_SIV_VECTORS)))
def test_aes_gcm_siv_is_that_of_rfc_8452(key: str, nonce: str, bound: str, plain: str, output: str) -> None:
    assert AESGCMSIV(X(key)).encrypt(X(nonce), X(plain), X(bound)).hex() == output


@pytest.mark.parametrize(("key", "nonce", "bound", "plain", "output"), GCM_SIV_VECTORS, ids=range(len(GCM_SIV_VECTORS)))
def test_sealing_is_that_aes_gcm_siv_and_opens_its_vectors(
    key: str, nonce: str, bound: str, plain: str, output: str
) -> None:
    ours, library = SealingKey(random=X(key), deterministic=bytes(64)), AESGCMSIV(X(key))

    made = sealed(TEXTS, ours, deterministic=False)

    assert [library.decrypt(data[1:13], data[13:], BOUND) for data in made] == [b"s" + text.encode() for text in TEXTS]
    assert _decrypt(ours, b"r" + X(nonce) + X(output), X(bound)) == X(plain)
