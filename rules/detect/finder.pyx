# cython: language_level=3, boundscheck=False, wraparound=False
"""Finds values of known kinds in a text: a binding of the scan in `find_scan.h`.

`find_text.h` knows bytes and their neighbours, `find_tables.h` the tables, `find_numbers.h`, `find_network.h` and
`find_secrets.h` have the exact check of each kind, `find_list.h` puts finds in order. The JSON kernel calls the same
scan; this class is for texts that come one by one.
"""

from wiremask.rules.detect.detectors import DETECTORS

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memset


# Each header is named where it declares something, so that a change of it is seen when the extension is built.
cdef extern from "find_tables.h" nogil:
    pass


cdef extern from "find_text.h" nogil:
    ctypedef struct subject_t:
        const uint8_t* text
        size_t length
        const uint8_t* name
        size_t name_length


cdef extern from "find_numbers.h" nogil:
    int is_card_number_ "is_card_number"(const uint8_t* p, const uint8_t* end)


cdef extern from "find_network.h" nogil:
    pass


cdef extern from "find_secrets.h" nogil:
    pass


cdef extern from "find_list.h" nogil:
    enum:
        FIND_KINDS
    ctypedef struct find_t:
        uint32_t from_ "from"
        uint32_t to
        uint32_t kind
    ctypedef struct finds_t:
        find_t* items
        size_t count


cdef extern from "find_scan.h" nogil:
    int find_all(uint32_t wanted, subject_t* subject, const uint8_t* readable, finds_t* finds)


if FIND_KINDS != len(DETECTORS):
    raise ImportError("finder is not compiled for these detectors")


def is_card_number(bytes number):
    """Whether a JSON number, as it is written, is that of a card."""
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(number)
    return bool(is_card_number_(begin, begin + len(number)))


cdef class Finder:
    """Finds what some detectors detect. Immutable: threads may share it.

    Args:
        detectors: names out of DETECTORS.
    """

    cdef uint32_t wanted

    def __init__(self, detectors):
        self.wanted = 0
        for name in detectors:
            self.wanted |= (<uint32_t>1) << <uint32_t>DETECTORS.index(name)

    def find(self, bytes text, bytes name=b""):
        """Finds what stands in a text of UTF-8.

        Args:
            text: what is searched.
            name: of the member that the text belongs to; it counts as a word before the text.

        Returns:
            (start, end, position in DETECTORS) of each find, in no order; those of different detectors may overlap.
        """
        cdef subject_t subject
        cdef finds_t finds
        cdef size_t i
        memset(&subject, 0, sizeof(subject))
        memset(&finds, 0, sizeof(finds))
        subject.text = <const uint8_t*>PyBytes_AS_STRING(text)
        subject.length = len(text)
        subject.name = <const uint8_t*>PyBytes_AS_STRING(name)
        subject.name_length = len(name)
        try:
            if find_all(self.wanted, &subject, subject.text + subject.length, &finds):
                raise MemoryError
            return [(finds.items[i].from_, finds.items[i].to, finds.items[i].kind) for i in range(finds.count)]
        finally:
            free(finds.items)
