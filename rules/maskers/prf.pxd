# cython: language_level=3
"""HMAC-SHA-256 for the masks that draw from it in C.

`sha256_choose` holds for the module that calls it: each that hashes calls it once, when it is loaded.
"""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "../kernel/sha256.h" nogil:
    ctypedef struct hmac_t:
        pass

    const uint32_t SHA256_START[8]
    int sha256_choose(int portable)
    void sha256_finish(uint32_t* state, const uint8_t* text, size_t length, size_t before, uint8_t* out)
    void hmac_text(const hmac_t* hmac, const uint8_t* text, size_t length, uint8_t* out)


cdef class HmacKey:
    """A key of 32 bytes as `hmac_text` takes it: wiped as soon as nobody holds it.

    Raises:
        ValueError: the key has another length, or is no bytes.
    """

    cdef hmac_t hmac
