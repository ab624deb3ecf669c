# cython: language_level=3
"""What happens to topics, asked once each."""

cimport cython

cdef enum:
    # So that a peer that makes up topics cannot make them costly.
    REMEMBERED = 1024
    NAME_BYTES = 249  # a topic's longest name; what is longer is asked each time


@cython.final
cdef class Choices:
    """What `choose` said of a topic's name (str) or id (bytes).

    False: nothing happens to its records. None: in doubt, which is not remembered. Any other object: something does, and
    the object is handed back with the records. The oldest answers are forgotten beyond 1,024.
    """

    def __init__(self, choose):
        self._choose = choose
        self._made = {}

    cdef object of(self, object key):
        made = self._made.get(key)
        if made is None:
            made = self._choose(key)
            if made is None or len(key) > NAME_BYTES:
                return made
            if len(self._made) >= REMEMBERED:
                del self._made[next(iter(self._made))]
            self._made[key] = made
        return made
