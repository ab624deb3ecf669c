# cython: language_level=3
"""Subkeys: bytes that are overwritten as soon as nobody holds them."""

from cpython.bytes cimport PyBytes_AS_STRING


cdef extern from "wipe.h" nogil:
    void wipe(void* at, size_t length)


class Subkey(bytes):
    """The key of one mask. It compares and hashes as its bytes do, and does not show them.

    A plan holds the only reference, so a ruleset that was replaced, and that no frame is masked by any more, leaves
    nothing of its subkeys in memory.
    """

    __slots__ = ()

    def __repr__(self):
        return "Subkey()"

    def __del__(self):
        wipe(PyBytes_AS_STRING(self), len(self))


def take(bytes derived):
    """A subkey of the bytes of an object that nobody else holds: they are overwritten."""
    subkey = Subkey(derived)
    wipe(PyBytes_AS_STRING(derived), len(derived))
    return subkey
