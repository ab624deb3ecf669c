# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Keyed functions over a whole batch: HMAC-SHA-256, and the rounds of FF1 in lockstep.

FF1's rounds are ten AES calls one after another for each value; here each round is one call for all values, so that a
value pays for its blocks and not for the calls.

Source: RFC 2104 (HMAC); NIST SP 800-38G section 6.2, algorithms 7 (FF1.Encrypt), 8 (FF1.Decrypt) and 6 (PRF).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset


cdef extern from "../kernel/sha256.h" nogil:
    void hmac_set_up(hmac_t* hmac, const uint8_t* key, size_t length)
    void hmac_clear(hmac_t* hmac)


cdef extern from *:
    """
    typedef unsigned __int128 wide_t;
    """
    ctypedef uint64_t wide_t

NATIVE_SHA256 = bool(sha256_choose(False))
cdef enum:
    ROUNDS = 10
    BLOCK = 16
    HALF_BYTES = 12

HALF_LIMIT_BYTES = HALF_BYTES
"""A half of the numerals as a number has at most so many bytes, so that one block is enough for each round."""


def choose_sha256(*, bint portable):
    """Takes the portable form of SHA-256, or the best for this processor. For tests: it holds for the process."""
    sha256_choose(portable)


cdef class HmacKey:
    def __cinit__(self, key):
        if not isinstance(key, bytes) or len(key) != 32:
            raise ValueError("the key has 32 bytes")
        hmac_set_up(&self.hmac, <const uint8_t*>PyBytes_AS_STRING(key), 32)

    def __dealloc__(self):
        hmac_clear(&self.hmac)


def hmac_texts(key, texts):
    """HMAC-SHA-256 of the UTF-8 of each text: 32 bytes each, one after another. The key has 32 bytes."""
    cdef HmacKey keyed = HmacKey(key)
    cdef bytes text, out = PyBytes_FromStringAndSize(NULL, 32 * len(texts))
    cdef uint8_t* digest = <uint8_t*>PyBytes_AS_STRING(out)
    for item in texts:
        text = (<str?>item).encode("utf-8", "surrogatepass")
        hmac_text(&keyed.hmac, <const uint8_t*>PyBytes_AS_STRING(text), len(text), digest)
        digest += 32
    return out


cdef struct value_t:
    wide_t a, b              # the two halves as numbers
    wide_t modulus_u, modulus_v
    uint32_t u, v            # lengths of the halves
    uint32_t at, blocks      # of a value with a tweak: where its first blocks stand, and how many they are
    uint32_t half_bytes      # b of the standard
    uint32_t sum_bytes       # d of the standard
    uint8_t chained[16]      # the state of CBC-MAC before the last block
    uint8_t last[16]         # the last block without round and half


def half_bytes(radix, length):
    """Bytes of the larger half of `length` numerals as a number: b of the standard."""
    return ((radix ** (length - length // 2) - 1).bit_length() + 7) // 8


def ff1(encryptor, int radix, list numerals, list tweaks, *, bint decrypt=False):
    """FF1 of many values.

    Args:
        encryptor: AES in ECB mode under the key, as `cryptography` makes it; used by this call alone.
        radix: 2 to 256.
        numerals: for each value its numerals, a byte each, below the radix; at least two, and no half of them has more
            than HALF_LIMIT_BYTES.
        tweaks: bytes for each value.
        decrypt: the other way round.

    Returns:
        For each value its numerals.
    """
    cdef Py_ssize_t count = len(numerals)
    cdef Py_ssize_t i, k
    cdef int round_, step
    cdef value_t* values
    cdef value_t* value
    cdef bytearray blocks = bytearray(BLOCK * count)
    cdef bytearray sums = bytearray(BLOCK * count + BLOCK)
    cdef uint8_t* block
    cdef uint8_t* out
    cdef wide_t number, total, modulus
    cdef bytes one
    cdef list results = []
    if not 2 <= radix <= 256:
        raise ValueError("the radix is from 2 to 256")
    values = <value_t*>calloc(max(count, 1), sizeof(value_t))
    if values == NULL:
        raise MemoryError
    try:
        set_up(encryptor, radix, numerals, tweaks, values)
        for step in range(ROUNDS):
            round_ = ROUNDS - 1 - step if decrypt else step
            block = <uint8_t*><char*>blocks
            for i in range(count):
                value = values + i
                memcpy(block, value.last, BLOCK)
                block[BLOCK - 1 - value.half_bytes] = round_
                number = value.a if decrypt else value.b
                for k in range(<Py_ssize_t>value.half_bytes):
                    block[BLOCK - 1 - k] = <uint8_t>(number >> (8 * k) & 0xFF)
                for k in range(BLOCK):
                    block[k] ^= value.chained[k]
                block += BLOCK
            encryptor.update_into(blocks, sums)
            out = <uint8_t*><char*>sums
            for i in range(count):
                value = values + i
                total = 0
                for k in range(<Py_ssize_t>value.sum_bytes):
                    total = total << 8 | out[k]
                modulus = value.modulus_u if round_ % 2 == 0 else value.modulus_v
                total %= modulus
                if decrypt:
                    number = value.b % modulus
                    number = number - total if number >= total else number + (modulus - total)
                    value.b = value.a
                    value.a = number
                else:
                    number = (value.a % modulus + total) % modulus
                    value.a = value.b
                    value.b = number
                out += BLOCK
        for i in range(count):
            value = values + i
            one = PyBytes_FromStringAndSize(NULL, value.u + value.v)
            write_numerals(<uint8_t*>PyBytes_AS_STRING(one), value.a, value.u, radix)
            write_numerals(<uint8_t*>PyBytes_AS_STRING(one) + value.u, value.b, value.v, radix)
            results.append(one)
        return results
    finally:
        memset(values, 0, count * sizeof(value_t))
        free(values)


cdef void write_numerals(uint8_t* out, wide_t number, uint32_t count, int radix):
    cdef uint32_t i
    for i in range(count):
        out[count - 1 - i] = <uint8_t>(number % radix)
        number //= radix


cdef int set_up(encryptor, int radix, list numerals, list tweaks, value_t* values) except -1:
    """Reads the numerals, and runs CBC-MAC over all blocks but the last, which are the same in every round."""
    cdef value_t* value = values
    cdef uint32_t length, i, size, whole
    cdef const uint8_t* text
    cdef bytes one, tweak
    cdef dict heads = {}
    cdef dict sizes = {}
    cdef bytearray chained = bytearray()
    for one, tweak in zip(numerals, tweaks, strict=True):
        length = len(one)
        text = <const uint8_t*>PyBytes_AS_STRING(one)
        if length < 2:
            raise ValueError("FF1 takes two numerals or more")
        value.u = length // 2
        value.v = length - value.u
        if length not in sizes:
            sizes[length] = half_bytes(radix, length)
        value.half_bytes = sizes[length]
        if value.half_bytes > HALF_BYTES:
            raise ValueError("too many numerals for the rounds in lockstep")
        value.sum_bytes = 4 * ((value.half_bytes + 3) // 4) + 4
        value.modulus_u = value.modulus_v = 1
        for i in range(length):
            if text[i] >= radix:
                raise ValueError("a numeral is not below the radix")
            if i < value.u:
                value.a = value.a * radix + text[i]
                value.modulus_u *= radix
            else:
                value.b = value.b * radix + text[i]
                value.modulus_v *= radix
        if not tweak:
            # The usual case: one block, the same for all values of a length.
            if length not in heads:
                heads[length] = encryptor.update(first_block(radix, length, 0))
            memcpy(value.chained, PyBytes_AS_STRING(<bytes>heads[length]), BLOCK)
        else:
            if (length, len(tweak)) not in heads:
                heads[length, len(tweak)] = first_block(radix, length, len(tweak))
            # Tweak, zeros up to a block's end, and what the rounds fill in: the round and the half.
            size = len(tweak) + (BLOCK - (len(tweak) + value.half_bytes + 1) % BLOCK) % BLOCK
            whole = (size + value.half_bytes + 1) // BLOCK * BLOCK - BLOCK
            value.at = len(chained)
            value.blocks = 1 + whole // BLOCK
            chained += <bytes>heads[length, len(tweak)]
            chained += tweak[:whole].ljust(whole, b"\0")
            for i in range(size - whole):
                value.last[i] = <uint8_t>tweak[whole + i] if whole + i < <uint32_t>len(tweak) else 0
        value += 1
    if chained:
        chain(encryptor, chained, values, len(numerals))
    return 0


cdef bytes first_block(int radix, uint32_t length, Py_ssize_t tweak_length):
    return (
        b"\x01\x02\x01" + radix.to_bytes(3, "big") + b"\x0a" + bytes([length // 2 & 0xFF])
        + length.to_bytes(4, "big") + tweak_length.to_bytes(4, "big")
    )


cdef int chain(encryptor, bytearray texts, value_t* values, Py_ssize_t count) except -1:
    """CBC-MAC over the first blocks of those values that have a tweak, a block of all of them at a time.

    The blocks of each value stand in `texts` from `at` on.
    """
    cdef const uint8_t* text = <const uint8_t*><char*>texts
    cdef bytearray given, sealed
    cdef uint8_t* to
    cdef Py_ssize_t number, k, taken
    cdef uint32_t step = 0
    while True:
        given = bytearray(BLOCK * count)
        to = <uint8_t*><char*>given
        taken = 0
        for number in range(count):
            if values[number].blocks > step:
                for k in range(BLOCK):
                    to[BLOCK * taken + k] = values[number].chained[k] ^ text[values[number].at + BLOCK * step + k]
                taken += 1
        if taken == 0:
            return 0
        sealed = bytearray(BLOCK * taken + BLOCK)
        encryptor.update_into(given[:BLOCK * taken], sealed)
        to = <uint8_t*><char*>sealed
        taken = 0
        for number in range(count):
            if values[number].blocks > step:
                memcpy(values[number].chained, to + BLOCK * taken, BLOCK)
                taken += 1
        step += 1
