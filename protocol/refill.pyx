# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Find the records in a small frame, and write the frame again with others in their place: the quick way of masked frames.

The message is walked with the same program as on the long way (walk.pyx), so it is read just as strictly, and what is
written is the same to the last byte: new records behind a new length, all else as it came. There is no object for what
no rule touches, and one for each records field that a rule does. Like a skim (skim.pyx), it says no to whatever it does
not know, and refuses nothing: the long way finds out.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, int32_t
from libc.stdlib cimport free
from libc.string cimport memcmp

from wiremask.protocol.choices cimport COUNT, CONTENT, END, FIRST, KIND, TOPICS, VALUE, Choices, read_int32, topic_key
from wiremask.protocol.walk cimport SMALL, Program, Walk

from wiremask.protocol.encode import encode_length

cdef enum:
    PREFIX = 4
    COPIED = 4096
    JOINED = 65536  # up to here one copy costs less than a write of several pieces


@cython.final
cdef class RecordsField:
    """A records field that something happens to.

    Attributes:
        choice: what was chosen for its topic.
        start: where its bytes start in the frame, behind their length.
        stop: where they end.
    """

    cdef readonly object choice
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t stop
    cdef Py_ssize_t _length_at

    def __init__(self):
        raise TypeError("found by a refill")


@cython.final
cdef class Refill:
    """How one message is read for its records at one version; `protocol.messages.skims` makes them.

    Args:
        program: of the message.
        head: of a request, what its header has behind the correlation id; of a response, its tagged section.
        is_request: which of the two it is.
        topics, name, topic_id, width: slots, and words of a topic's row.
        partitions, partition_width, records: likewise of a partition's.
        number: an integer that is wanted; -1 if none is.
        endpoints: an array of broker addresses, which must not be there; -1 if the message has none.
    """

    cdef Program _program
    cdef bytes _head
    cdef bint _is_request
    cdef int _topics, _name, _topic_id, _width, _partitions, _partition_width, _records, _number, _endpoints
    cdef readonly int32_t correlation_id
    cdef readonly int32_t number
    cdef readonly Py_ssize_t grown_bytes

    def __init__(
        self, Program program not None, bytes head not None, *, bint is_request, int topics, int name, int topic_id,
        int width, int partitions, int partition_width, int records, int number=-1, int endpoints=-1,
    ):
        self._program = program
        self._head = head
        self._is_request = is_request
        self._topics = topics
        self._name = name
        self._topic_id = topic_id
        self._width = width
        self._partitions = partitions
        self._partition_width = partition_width
        self._records = records
        self._number = number
        self._endpoints = endpoints

    def find(self, frame not None, Choices choices not None):
        """The records fields of a frame (bytes or bytearray) that something happens to, in order; None if in doubt.

        If it is a list, `correlation_id` and `number` are those of the frame.
        """
        cdef const unsigned char* data
        cdef Py_ssize_t size
        cdef Py_ssize_t head = PyBytes_GET_SIZE(self._head)
        cdef Py_ssize_t correlation = KIND if self._is_request else 0
        cdef Py_ssize_t body = correlation + 4 + head
        cdef int32_t small[SMALL]
        cdef Walk w
        if type(frame) is bytes:
            data = <const unsigned char*>PyBytes_AS_STRING(frame)
            size = PyBytes_GET_SIZE(frame)
        elif type(frame) is bytearray:
            data = <const unsigned char*>PyByteArray_AS_STRING(frame)
            size = PyByteArray_GET_SIZE(frame)
        else:
            raise TypeError("a frame is bytes or a bytearray")
        if size < body or memcmp(data + correlation + 4, PyBytes_AS_STRING(self._head), head) != 0:
            return None
        self._program.run(&w, data + body, size - body, small)
        try:
            if w.fault != 0 or self._endpoints >= 0 and w.rows[self._endpoints + COUNT] >= 0:
                return None
            self.correlation_id = read_int32(data + correlation)
            if self._number >= 0:
                self.number = w.rows[self._number + VALUE]
            return self._list(&w, body, choices)
        finally:
            free(w.heap)

    cdef list _list(self, Walk* w, Py_ssize_t body, Choices choices):
        cdef int32_t* topic
        cdef int32_t* records
        cdef int32_t i, j
        cdef RecordsField field
        cdef list found = []
        if w.rows[self._topics + COUNT] > TOPICS:
            return None
        for i in range(w.rows[self._topics + COUNT]):
            topic = w.rows + w.rows[self._topics + FIRST] + <Py_ssize_t>i * self._width
            key = topic_key(w.data, topic, self._topic_id, self._name)
            choice = None if key is None else choices.of(key)
            if choice is None:
                return None
            if choice is False:
                continue
            for j in range(topic[self._partitions + COUNT]):
                records = w.rows + topic[self._partitions + FIRST] + <Py_ssize_t>j * self._partition_width + self._records
                if records[CONTENT] < 0 or records[CONTENT] == records[END]:
                    if self._is_request:
                        return None  # a broker refuses it, and so does the long way
                    continue
                field = RecordsField.__new__(RecordsField)
                field.choice = choice
                field._length_at = body + records[0]
                field.start = body + records[CONTENT]
                field.stop = body + records[END]
                found.append(field)
        return found

    def fill(self, frame not None, list fields not None, filled not None):
        """The frame with other records, to be written: its size comes first.

        Args:
            frame: what `find` looked at.
            fields: what it found.
            filled: for each field the pieces of its new content, or None where it stays.

        Returns:
            One piece if the frame is small, else several; large ones are not copied then. The frame is let go of if all
            its records are new.
            `grown_bytes` is what all new content has more than the old.
        """
        cdef RecordsField field
        cdef Py_ssize_t at = 0, size, total = PREFIX
        cdef list pieces = [b"\0\0\0\0"]
        view = memoryview(frame)
        self.grown_bytes = 0
        for field, content in zip(fields, filled, strict=True):
            if content is None:
                continue
            size = 0
            for piece in content:
                size += size_of_piece(piece)
            length = encode_length(size, flexible=self._program.flexible)
            pieces.append(kept(view[at : field._length_at]))
            pieces.append(length)
            pieces += content
            total += field._length_at - at + len(length) + size
            at = field.stop
            self.grown_bytes += size - (field.stop - field.start)
        pieces.append(kept(view[at:]))
        total += len(view) - at
        if total - PREFIX > INT32_MAX:
            raise OverflowError("a frame beyond 2 GiB")
        pieces[0] = (total - PREFIX).to_bytes(PREFIX, "big")
        return pieces if total > JOINED else [b"".join(pieces)]


cdef Py_ssize_t size_of_piece(object piece) except -1:
    cdef Py_buffer view
    if type(piece) is bytes:
        return PyBytes_GET_SIZE(piece)
    PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
    cdef Py_ssize_t size = view.len
    PyBuffer_Release(&view)
    return size


cdef object kept(object view):
    """What stays of a frame: copied where that is little, so that the frame need not be held until it has left."""
    return bytes(view) if len(view) <= COPIED else view
