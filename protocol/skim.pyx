# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Look at a frame where it lies and see whether it may go on as it is: the short way of most frames.

A skim walks the whole message with the same program as the long way (walk.pyx), so it is just as strict, but makes no object
of it. It says no to whatever it does not know; the frame then takes the long way, which finds out and is the only one that
refuses. What may go on as it is:

    Produce request         nothing happens to any topic
      while it arrives      the same; its only partition's records go on before their end has come (`opens`, `Passage.closes`)
    Fetch request           the same, and no limit is above the one that the proxy allows
    Produce response        it names no addresses of brokers
    Fetch response          the same, and nothing happens to any topic
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memcmp

from wiremask.protocol.choices cimport COUNT, CONTENT, END, FIRST, KIND, TOPICS, VALUE, Choices, read_int32, topic_key
from wiremask.protocol.walk cimport SMALL, Program, Walk

cdef enum:
    TAIL_BYTES = 4096  # behind the records there are tagged fields only, of which Kafka 4 has none
    # As in walk.pyx.
    TRUNCATED = 1
    OP_BYTES = 5

cdef bytes EMPTY = b"\0\0\0\0"
cdef bytes COMPACT_EMPTY = b"\1"


cpdef int32_t kind_at(bytearray buffer, Py_ssize_t start, Py_ssize_t stop):
    """The api key and version of a request, as one number; -1 where there is none."""
    if buffer is None or not 0 <= start <= stop - KIND <= PyByteArray_GET_SIZE(buffer) - KIND:
        return -1
    return read_int32(<const unsigned char*>PyByteArray_AS_STRING(buffer) + start)


@cython.final
cdef class Skim:
    """How one message is skimmed at one version; `protocol.messages.skims` makes them.

    Args:
        program: of the message.
        head: of a request, what its header has behind the correlation id; of a response, its tagged section.
        is_request: which of the two it is.
        topics, name, topic_id, width: slots, and words of a topic's row; -1 where topics do not matter.
        limit, partitions, partition_limit, partition_width: of Fetch requests, what may be at most `limit_bytes`.
        records: the records in a partition's row.
        number: an integer that is wanted.
        endpoints: an array of broker addresses, which must not be there.
    """

    def __init__(
        self, Program program not None, bytes head not None, *, bint is_request, int topics=-1, int name=-1,
        int topic_id=-1, int width=0, int partitions=-1, int partition_limit=-1, int partition_width=0, int number=-1,
        int endpoints=-1, int records=-1, int32_t limit_bytes=-1,
    ):
        self._program = program
        self._head = head
        self._is_request = is_request
        self._topics = topics
        self._name = name
        self._topic_id = topic_id
        self._width = width
        self._partitions = partitions
        self._partition_limit = partition_limit
        self._partition_width = partition_width
        self._number = number
        self._endpoints = endpoints
        self._records = records
        self._limit = limit_bytes

    cpdef bint passes(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop, Choices choices=None) except -1:
        """Whether the frame from `start` to `stop` may go on as it is.

        If so, `correlation_id` and `number` are those of the frame. Without `choices` topics do not matter.
        """
        cdef const unsigned char* frame
        cdef Py_ssize_t head = PyBytes_GET_SIZE(self._head)
        cdef Py_ssize_t correlation = KIND if self._is_request else 0
        cdef Py_ssize_t body = correlation + 4 + head
        cdef int32_t small[SMALL]
        cdef Walk w
        cdef bint passes
        if buffer is None or not 0 <= start <= stop - body <= PyByteArray_GET_SIZE(buffer) - body:
            return False
        frame = <const unsigned char*>PyByteArray_AS_STRING(buffer) + start
        if memcmp(frame + correlation + 4, PyBytes_AS_STRING(self._head), head) != 0:
            return False
        self._program.run(&w, frame + body, stop - start - body, small)
        try:
            if w.fault != 0:
                return False
            self.correlation_id = read_int32(frame + correlation)
            if self._number >= 0:
                self.number = w.rows[self._number + VALUE]
            if self._limit >= 0 and not self._is_within(&w):
                return False
            if self._endpoints >= 0 and w.rows[self._endpoints + COUNT] >= 0:
                return False
            return choices is None or self._topics < 0 or self._are_clear(&w, choices)
        finally:
            free(w.heap)

    def opens(
        self, bytearray buffer not None, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t size, Choices choices=None
    ):
        """A passage for the frame of `size` bytes of which those from `start` to `stop` have arrived, or None.

        It is given for one topic with one partition, if that topic is clear and the records began to arrive.
        """
        cdef const unsigned char* frame
        cdef Py_ssize_t head = PyBytes_GET_SIZE(self._head)
        cdef Py_ssize_t correlation = KIND if self._is_request else 0
        cdef Py_ssize_t body = correlation + 4 + head
        cdef int32_t small[SMALL]
        cdef Walk w
        cdef int32_t* topic
        cdef int32_t* records
        cdef Passage passage
        if self._records < 0 or not 0 <= start <= stop - body <= PyByteArray_GET_SIZE(buffer) - body or size <= stop - start:
            return None
        frame = <const unsigned char*>PyByteArray_AS_STRING(buffer) + start
        if memcmp(frame + correlation + 4, PyBytes_AS_STRING(self._head), head) != 0:
            return None
        self._program.run(&w, frame + body, stop - start - body, small)
        try:
            # Only the records may be cut off: whatever else is, is in doubt.
            if (
                w.fault != TRUNCATED
                or w.code[w.fault_at] != OP_BYTES
                or w.code[w.fault_at + 2] != self._records
                or w.rows[self._topics + COUNT] != 1
            ):
                return None
            topic = w.rows + w.rows[self._topics + FIRST]
            if topic[self._partitions + COUNT] != 1:
                return None
            records = w.rows + topic[self._partitions + FIRST] + self._records
            if not 0 <= records[CONTENT] < records[END] <= size - body:
                return None
            if size - body - records[END] > TAIL_BYTES:
                return None
            if choices is not None and not self._are_clear(&w, choices):
                return None
            self.correlation_id = read_int32(frame + correlation)
            if self._number >= 0:
                self.number = w.rows[self._number + VALUE]
            passage = Passage.__new__(Passage)
            passage._program = self._program
            passage._endpoints = self._endpoints
            passage._topic = None if choices is None else topic_key(w.data, topic, self._topic_id, self._name)
            passage._head = PyBytes_FromStringAndSize(<const char*>w.data, records[0])
            passage.tail_bytes = size - body - records[END]
            return passage
        finally:
            free(w.heap)

    cdef bint _is_within(self, Walk* w) noexcept:
        """Whether no limit of a Fetch request is above what the proxy allows."""
        cdef int32_t* topic
        cdef int32_t* partition
        cdef int32_t i, j
        if w.rows[self._number + VALUE] > self._limit:
            return False
        for i in range(w.rows[self._topics + COUNT]):
            topic = w.rows + w.rows[self._topics + FIRST] + <Py_ssize_t>i * self._width
            for j in range(topic[self._partitions + COUNT]):
                partition = w.rows + topic[self._partitions + FIRST] + <Py_ssize_t>j * self._partition_width
                if partition[self._partition_limit + VALUE] > self._limit:
                    return False
        return True

    cdef bint _are_clear(self, Walk* w, Choices choices) except -1:
        """Whether nothing happens to any topic; one without name and id never was."""
        cdef int32_t* topic
        cdef int32_t i
        if w.rows[self._topics + COUNT] > TOPICS:
            return False
        for i in range(w.rows[self._topics + COUNT]):
            topic = w.rows + w.rows[self._topics + FIRST] + <Py_ssize_t>i * self._width
            key = topic_key(w.data, topic, self._topic_id, self._name)
            if key is None or choices.of(key) is not False:
                return False
        return True


@cython.final
cdef class Passage:
    """A frame that goes on while it arrives: what was in front of its records, until what is behind them has come.

    Attributes:
        tail_bytes: how many bytes of the frame are behind the records. They must not go on before `closes` said yes, so
            that nobody ever has a whole frame that was not walked to its last byte.
    """

    cdef Program _program
    cdef bytes _head        # of the body, up to the length of the records
    cdef object _topic
    cdef int _endpoints
    cdef readonly Py_ssize_t tail_bytes

    def __init__(self):
        raise TypeError("made by a skim")

    def is_clear(self, Choices choices):
        """Whether nothing happens to its topic by these choices either, after the rules have changed."""
        return choices is None or self._topic is not None and choices.of(self._topic) is False

    def closes(self, bytearray buffer not None, Py_ssize_t start):
        """Whether the message with this tail is sound from its first byte to its last, and names no address.

        The records' length was found to fit into the frame, and their bytes are nobody's concern here: so the message is
        sound exactly if it is with no records.
        """
        cdef int32_t small[SMALL]
        cdef Walk w
        if not 0 <= start <= PyByteArray_GET_SIZE(buffer) - self.tail_bytes:
            return False
        tail = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer) + start, self.tail_bytes)
        message = self._head + (COMPACT_EMPTY if self._program.flexible else EMPTY) + tail
        self._program.run(&w, <const unsigned char*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), small)
        try:
            return w.fault == 0 and (self._endpoints < 0 or w.rows[self._endpoints + COUNT] < 0)
        finally:
            free(w.heap)
