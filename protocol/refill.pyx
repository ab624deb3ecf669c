# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Find the records in a small frame, and write the frame again with others in their place: the quick way of masked frames.

The message is walked with the same program as on the long way (walk.pyx), so it is read just as strictly, and what is
written is the same to the last byte: new records behind a new length, all else as it came. There is no object for what
no rule touches, and one for each records field that a rule does. Like a skim (skim.pyx), it says no to whatever it does
not know, and refuses nothing: the long way finds out.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, int32_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy

from wiremask.protocol.choices cimport COUNT, CONTENT, END, FIRST, KIND, TOPICS, VALUE, Choices, read_int32, topic_key
from wiremask.protocol.record cimport store32
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

    cpdef list find(self, object frame, Choices choices):
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
        if choices is None:
            raise TypeError("without choices there is nothing to find")
        data = <const unsigned char*>start_of(frame)
        size = len(frame)
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

    cpdef list fill(self, object frame, list fields, object filled):
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
        cdef Py_ssize_t size, total = PREFIX + len(frame)
        cdef list lengths = []
        self.grown_bytes = 0
        for field, content in zip(fields, filled, strict=True):
            if content is None:
                lengths.append(None)
                continue
            size = 0
            for piece in content:
                size += size_of_piece(piece)
            length = encode_length(size, flexible=self._program.flexible)
            lengths.append(length)
            total += PyBytes_GET_SIZE(length) + size - (field.stop - field._length_at)
            self.grown_bytes += size - (field.stop - field.start)
        if total - PREFIX > INT32_MAX:
            raise OverflowError("a frame beyond 2 GiB")
        if total <= JOINED:
            return [joined(frame, fields, filled, lengths, total)]
        return in_pieces(frame, fields, filled, lengths, total)


cdef bytes joined(object frame, list fields, object filled, list lengths, Py_ssize_t total):
    """The frame anew, copied."""
    cdef RecordsField field
    cdef Py_ssize_t at = 0
    cdef const char* data = start_of(frame)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, total)
    cdef char* out = PyBytes_AS_STRING(whole)
    store32(<uint8_t*>out, <uint32_t>(total - PREFIX))
    out += PREFIX
    for field, content, length in zip(fields, filled, lengths):
        if content is None:
            continue
        memcpy(out, data + at, field._length_at - at)
        out = put(out + field._length_at - at, length)
        for piece in content:
            out = put(out, piece)
        at = field.stop
    memcpy(out, data + at, len(frame) - at)
    return whole


cdef list in_pieces(object frame, list fields, object filled, list lengths, Py_ssize_t total):
    """The frame anew, in pieces that are views where that saves a large copy."""
    cdef RecordsField field
    cdef Py_ssize_t at = 0
    cdef bytes size = PyBytes_FromStringAndSize(NULL, PREFIX)
    cdef list pieces = [size]
    view = memoryview(frame)
    store32(<uint8_t*>PyBytes_AS_STRING(size), <uint32_t>(total - PREFIX))
    for field, content, length in zip(fields, filled, lengths):
        if content is None:
            continue
        pieces.append(kept(view[at : field._length_at]))
        pieces.append(length)
        pieces += content
        at = field.stop
    pieces.append(kept(view[at:]))
    return pieces


cdef const char* start_of(object frame) except NULL:
    if type(frame) is bytes:
        return PyBytes_AS_STRING(frame)
    if type(frame) is bytearray:
        return PyByteArray_AS_STRING(frame)
    raise TypeError("a frame is bytes or a bytearray")


cdef char* put(char* out, object piece) except NULL:
    cdef Py_buffer view
    PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
    memcpy(out, view.buf, view.len)
    out += view.len
    PyBuffer_Release(&view)
    return out


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
