# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The characters of an alphabet taken out of texts as numerals, and put back, for a whole batch: see fpe.py.

An alphabet is ASCII. Whatever else a text holds stays where it stands.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromKindAndData, PyUnicode_KIND, PyUnicode_READ, PyUnicode_WRITE
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    NONE = 0xFF              # of no character


def take_out(bytes alphabet, texts, Py_ssize_t keep_first, Py_ssize_t keep_last, Py_ssize_t least, Py_ssize_t most):
    """The numerals of texts, kept ones apart.

    Args:
        alphabet: the character of each numeral; at most 128, each once.
        texts: a sequence of str.
        keep_first: so many characters of the alphabet are kept, from the first on; so does `keep_last` from the last.
        least: texts with fewer others are left out; so are those with more than `most`.

    Returns:
        The places of the texts that are not left out, and for each its numerals and its kept characters, as bytes.
    """
    cdef uint8_t numerals[128]
    cdef uint8_t* found
    cdef Py_ssize_t count, place = 0, others, at
    cdef list places = [], hidden = [], kept = []
    cdef bytes tweak
    cdef Py_ssize_t room = 0
    fill_table(alphabet, numerals)
    found = NULL
    try:
        for item in texts:
            if len(<str?>item) > room:
                free(found)
                room = 2 * len(<str>item)
                found = <uint8_t*>malloc(room)
                if found == NULL:
                    raise MemoryError
            count = read_numerals(<str>item, numerals, found)
            others = count - keep_first - keep_last
            if least <= others <= most:
                places.append(place)
                hidden.append(PyBytes_FromStringAndSize(<char*>found + keep_first, others))
                if keep_first or keep_last:
                    tweak = PyBytes_FromStringAndSize(NULL, keep_first + keep_last)
                    for at in range(keep_first):
                        PyBytes_AS_STRING(tweak)[at] = PyBytes_AS_STRING(alphabet)[found[at]]
                    for at in range(keep_last):
                        PyBytes_AS_STRING(tweak)[keep_first + at] = PyBytes_AS_STRING(alphabet)[
                            found[count - keep_last + at]
                        ]
                    kept.append(tweak)
                else:
                    kept.append(b"")
            place += 1
        return places, hidden, kept
    finally:
        free(found)


def put_back(bytes alphabet, texts, Py_ssize_t keep_first, list places, list hidden):
    """The texts with other numerals in the places of those that take_out gave; None for texts that it left out."""
    cdef uint8_t numerals[128]
    cdef list made = [None] * len(texts)
    cdef Py_ssize_t which, place
    cdef bytes other
    fill_table(alphabet, numerals)
    for which in range(len(places)):
        place = places[which]
        other = hidden[which]
        made[place] = written(<str?>texts[place], alphabet, numerals, keep_first, other)
    return made


cdef int fill_table(bytes alphabet, uint8_t* numerals) except -1:
    cdef Py_ssize_t i
    memset(numerals, NONE, 128)
    if len(alphabet) > 128:
        raise ValueError("an alphabet has at most 128 characters")
    for i in range(len(alphabet)):
        if <uint8_t>alphabet[i] > 127:
            raise ValueError("an alphabet is ASCII")
        numerals[<uint8_t>alphabet[i]] = <uint8_t>i
    return 0


cdef Py_ssize_t read_numerals(str text, const uint8_t* numerals, uint8_t* found):
    """Writes the numerals of a text, for which `found` has room; gives how many there are."""
    cdef Py_ssize_t i, count = 0
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_UCS4 character
    for i in range(len(text)):
        character = PyUnicode_READ(kind, data, i)
        if character < 128 and numerals[character] != NONE:
            found[count] = numerals[character]
            count += 1
    return count


cdef str written(str text, bytes alphabet, const uint8_t* numerals, Py_ssize_t keep_first, bytes hidden):
    cdef Py_ssize_t i, at = -keep_first, length = len(text), size = len(hidden)
    cdef int kind = PyUnicode_KIND(text)
    cdef bytearray copy = bytearray(kind * length)
    cdef void* data = <char*>copy
    cdef Py_UCS4 character
    memcpy(data, PyUnicode_DATA(text), kind * length)
    for i in range(length):
        character = PyUnicode_READ(kind, data, i)
        if character < 128 and numerals[character] != NONE:
            if 0 <= at < size:
                PyUnicode_WRITE(kind, data, i, <uint8_t>PyBytes_AS_STRING(alphabet)[<uint8_t>hidden[at]])
            at += 1
    return PyUnicode_FromKindAndData(kind, data, length)
