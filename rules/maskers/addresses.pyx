# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""IP addresses of a whole batch: cut to a prefix, or scrambled so that prefixes stay. See places.py.

Addresses are read as the C library reads them (inet_pton: no zone, port, netmask, or zeros before an octet), and written
in the form of RFC 5952, groups only.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t


cdef extern from "<arpa/inet.h>" nogil:
    enum: AF_INET, AF_INET6
    int inet_pton(int family, const char* text, void* to)


cdef extern from *:
    """
    static inline uint64_t read_big(const uint8_t *p)
    {
        uint64_t number = 0;
        for (int i = 0; i < 8; i++) number = number << 8 | p[i];
        return number;
    }

    static inline void write_big(uint8_t *p, uint64_t number)
    {
        for (int i = 0; i < 8; i++) p[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    """
    uint64_t read_big(const uint8_t* p) noexcept nogil
    void write_big(uint8_t* p, uint64_t number) noexcept nogil


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    BLOCK = 16
    TEXT_LIMIT = 46          # a long address with an address of 32 bits at its end, and the null byte
    CHUNK_BLOCKS = 2048      # 32 KB of blocks and 32 KB of AES of them stay in the cache
    GROUPS = 8

cdef const char* DIGITS = "0123456789abcdef"


def keep_prefixes(texts, int v4, int v6):
    """Addresses with all bits behind the first `v4` (of 32) or `v6` (of 128) cleared.

    Returns:
        A list of texts; None for what is no address.
    """
    cdef uint8_t address[BLOCK]
    cdef int size, kept, at
    cdef list masked = []
    if not (0 <= v4 <= 32 and 0 <= v6 <= 128):
        raise ValueError("a prefix is no longer than its address")
    for text in texts:
        size = read_address(<str?>text, address)
        kept = v4 if size == 4 else v6
        for at in range(size):
            if kept < 8 * at + 8:
                address[at] &= 0 if kept <= 8 * at else 0xFF << (8 * at + 8 - kept) & 0xFF
        masked.append(write_address(address, size))
    return masked


def scramble_prefixes(encryptor, texts):
    """Addresses with bit i flipped by one bit of AES of the i bits before it.

    The block for bit i is those i bits, then a 1, then zeros; a 4 in its last byte tells addresses of 32 bits. One call
    of the cipher is for CHUNK_BLOCKS of them.

    Args:
        encryptor: AES in ECB mode, as `cryptography` makes it.
        texts: a sequence of str.

    Returns:
        A list of texts; None for what is no address.
    """
    cdef Py_ssize_t count = len(texts), first, last, i
    cdef int taken = 0, at
    cdef bytearray sizes = bytearray(count)
    cdef bytearray addresses = bytearray(BLOCK * count)
    cdef bytearray blocks = bytearray(BLOCK * CHUNK_BLOCKS)
    cdef bytearray sealed = bytearray(BLOCK * CHUNK_BLOCKS + BLOCK)
    cdef uint8_t* size = <uint8_t*><char*>sizes
    cdef uint8_t* address = <uint8_t*><char*>addresses
    for i in range(count):
        size[i] = <uint8_t>read_address(<str?>texts[i], address + BLOCK * i)
    first = 0
    while first < count:
        taken, last = 0, first
        while last < count and taken + 8 * size[last] <= CHUNK_BLOCKS:
            write_blocks(address + BLOCK * last, size[last], <uint8_t*><char*>blocks + BLOCK * taken)
            taken += 8 * size[last]
            last += 1
        if taken and encryptor.update_into(memoryview(blocks)[:BLOCK * taken], sealed) != BLOCK * taken:
            raise RuntimeError("the cipher gave too few or too many bytes")
        taken = 0
        for i in range(first, last):
            flip_bits(address + BLOCK * i, size[i], <const uint8_t*><char*>sealed + BLOCK * taken)
            taken += 8 * size[i]
        first = last
    return [write_address(address + BLOCK * i, size[i]) for i in range(count)]


cdef void write_blocks(const uint8_t* address, int size, uint8_t* block) noexcept:
    """A block for each bit of the address."""
    cdef uint64_t high = 0, low = 0, mask
    cdef int bit
    # In registers: a block that is changed byte by byte and then copied whole waits for its own stores.
    if size == BLOCK:
        high, low = read_big(address), read_big(address + 8)
    else:
        for bit in range(4):
            high |= <uint64_t>address[bit] << (56 - 8 * bit)
    for bit in range(8 * size):
        mask = <uint64_t>1 << (63 - (bit & 63))
        # All bits above the mask's, and the mask.
        if bit < 64:
            write_big(block, high & (0 - (mask << 1)) | mask)
            write_big(block + 8, 4 if size == 4 else 0)
        else:
            write_big(block, high)
            write_big(block + 8, low & (0 - (mask << 1)) | mask)
        block += BLOCK


cdef void flip_bits(uint8_t* address, int size, const uint8_t* drawn) noexcept:
    """Flips each bit by the last bit of the first byte of what was drawn for it."""
    cdef int bit
    for bit in range(8 * size):
        address[bit >> 3] ^= (drawn[BLOCK * bit] & 1) << (7 - (bit & 7))


cdef int read_address(str text, uint8_t* address):
    """How many bytes the address has; 0 for what is none."""
    cdef char written[TEXT_LIMIT]
    cdef Py_ssize_t i, length = len(text)
    cdef const char* given
    cdef bint is_long = False
    if length >= TEXT_LIMIT or not PyUnicode_IS_ASCII(text):
        return 0
    given = <const char*>PyUnicode_DATA(text)
    for i in range(length):
        if given[i] == 0:
            return 0
        is_long |= given[i] == c":"
        written[i] = given[i]
    written[length] = 0
    if inet_pton(AF_INET6 if is_long else AF_INET, written, address) != 1:
        return 0
    return BLOCK if is_long else 4


cdef object write_address(const uint8_t* address, int size):
    cdef char text[TEXT_LIMIT]
    cdef int length = 0
    if size == 0:
        return None
    if size == 4:
        length = write_octets(address, text)
    else:
        length = write_groups(address, text)
    return PyUnicode_FromStringAndSize(text, length)


cdef int write_octets(const uint8_t* address, char* text) noexcept:
    cdef int at, octet, length = 0
    for at in range(4):
        octet = address[at]
        if at:
            text[length] = c"."
            length += 1
        if octet >= 100:
            text[length] = c"0" + octet // 100
            length += 1
        if octet >= 10:
            text[length] = c"0" + octet // 10 % 10
            length += 1
        text[length] = c"0" + octet % 10
        length += 1
    return length


cdef int write_groups(const uint8_t* address, char* text) noexcept:
    """An address of 128 bits: the first of the longest runs of two or more groups that are 0 becomes `::`."""
    cdef int group, value, start = -1, best = -1, longest = 1, length = 0, shift
    for group in range(GROUPS):
        if address[2 * group] | address[2 * group + 1]:
            start = -1
            continue
        if start < 0:
            start = group
        if group - start + 1 > longest:
            best, longest = start, group - start + 1
    group = 0
    while group < GROUPS:
        if group == best:
            text[length] = text[length + 1] = c":"
            length += 2
            group += longest
            continue
        if group and text[length - 1] != c":":
            text[length] = c":"
            length += 1
        value = address[2 * group] << 8 | address[2 * group + 1]
        shift = 12
        while shift and not value >> shift:
            shift -= 4
        while shift >= 0:
            text[length] = DIGITS[value >> shift & 15]
            length += 1
            shift -= 4
        group += 1
    return length
