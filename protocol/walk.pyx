# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Run a compiled schema over the bytes of a message, report where its marked fields stand, and read them there.

Every length that the wire states is checked against the bytes that are left before it is used, and every array against the
smallest size of its elements; recursion is as deep as the schema, never as the bytes say. The result is one flat run of
int32 *rows*. The row of a struct starts with its start and end; then come the slots of its marked fields:

    int                         start, value                            absent: -1, the schema's default
    uuid                        start                                   absent: -1
    string, bytes, records      start, content, end                     null: content -1; absent: all -1
    array of structs            size_start, start, content, end, count, first_row
                                size_start is that of a tagged field's size, else -1; null or absent: count -1

The rows of an array's elements lie one after another from `first_row` on. All positions count from the message's start.

Source: Kafka's generated readers (MessageDataGenerator, 4.3) for what is accepted, and stricter where DESIGN section 3 asks.
"""

cimport cython
from cpython cimport array
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT32_MAX, int16_t, int32_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import array

from wiremask.protocol.errors import MalformedMessage

# Instructions: one word for the operation, then its operands. protocol/program.py writes them.
cdef enum:
    OP_END = 0          # -
    OP_SKIP = 1         # bytes
    OP_INT = 2          # size, slot
    OP_UUID = 3         # slot
    OP_STRING = 4       # flags, slot
    OP_BYTES = 5        # flags, slot
    OP_FIXED_ARRAY = 6  # flags, bytes of an element
    OP_ARRAY = 7        # flags, slot, program of an element, its least size, words of its row, template of its row
    OP_STRUCT = 8       # flags, program
    OP_TAGS = 9         # count, then (tag, program, slot) each

    COMPACT = 1
    NULLABLE = 2

cdef enum:
    OK = 0
    TRUNCATED = 1
    TRAILING = 2
    NULL_VALUE = 3
    NEGATIVE = 4
    VARINT = 5
    UTF8 = 6
    LONG_STRING = 7
    COUNT = 8
    TAG_ORDER = 9
    TAG_SIZE = 10
    PRESENCE = 11
    ELEMENTS = 12
    MEMORY = 13
    HUGE = 14

cdef tuple FAULTS = (
    "",
    "the bytes end inside it",
    "bytes are left over behind it",
    "null where the schema allows none",
    "a negative length",
    "a varint beyond 31 bits",
    "a string that is not UTF-8",
    "a string beyond 32767 bytes",
    "an array with more elements than the bytes could hold",
    "tags that do not ascend",
    "a tagged field that does not fill its size",
    "a presence byte that is neither 1 nor -1",
    "more elements than a message may have",
    "",
    "a message beyond 2 GiB",
)

# Rows cost memory that no frame limit counts: 20 to 40 bytes an element, which may be as short as 3 bytes on the wire.
# A million topics or partitions in one message is beyond what a cluster has.
MAX_ELEMENTS = 1 << 20
cdef Py_ssize_t _MAX_ELEMENTS = MAX_ELEMENTS

cdef enum:
    SLOT_WORDS = 6  # of the widest slot; as many words behind the last row are there to be read


cdef int fail(Walk* w, int fault, int at) noexcept nogil:
    w.fault = fault
    w.fault_at = at
    return -1


cdef inline int32_t read_int32(const unsigned char* p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3])


cdef int read_uvarint(Walk* w, int32_t* value, int at) noexcept nogil:
    """Read up to five bytes, of which the last may add three bits: Java reads more bits and loses or negates them."""
    cdef uint32_t result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while True:
        if w.pos >= w.end:
            return fail(w, TRUNCATED, at)
        byte = w.data[w.pos]
        w.pos += 1
        if shift == 28 and byte > 7:
            return fail(w, VARINT, at)
        result |= <uint32_t>(byte & 127) << shift
        if byte < 128:
            value[0] = <int32_t>result
            return 0
        shift += 7


cdef int read_length(Walk* w, int flags, int bytes_of_length, int32_t* length, int at) noexcept nogil:
    """Read a length or count: compact (value plus one), int16 or int32; -1 is null, and refused where null is not allowed."""
    if flags & COMPACT:
        if read_uvarint(w, length, at) < 0:
            return -1
        length[0] -= 1
    else:
        if w.end - w.pos < bytes_of_length:
            return fail(w, TRUNCATED, at)
        if bytes_of_length == 2:
            length[0] = <int16_t>((w.data[w.pos] << 8) | w.data[w.pos + 1])
        else:
            length[0] = read_int32(w.data + w.pos)
        w.pos += bytes_of_length
    if length[0] < 0:
        if length[0] < -1:
            return fail(w, NEGATIVE, at)
        if not flags & NULLABLE:
            return fail(w, NULL_VALUE, at)
    return 0


cdef bint is_utf8(const unsigned char* p, Py_ssize_t size) noexcept nogil:
    """Whether the bytes are UTF-8 as Python decodes it: shortest forms only, no surrogates, nothing above U+10FFFF."""
    cdef Py_ssize_t i = 0
    cdef uint64_t eight
    cdef unsigned char lead, low, high
    cdef int more
    while i < size:
        if p[i] < 128:
            while size - i >= 8:
                memcpy(&eight, p + i, 8)
                if eight & <uint64_t>0x8080808080808080:
                    break
                i += 8
            while i < size and p[i] < 128:
                i += 1
            continue
        lead = p[i]
        low, high = 0x80, 0xBF
        if lead < 0xC2:
            return False
        elif lead < 0xE0:
            more = 1
        elif lead < 0xF0:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F
        elif lead < 0xF5:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return False
        if size - i <= more or p[i + 1] < low or p[i + 1] > high:
            return False
        if more > 1 and (p[i + 2] & 0xC0) != 0x80:
            return False
        if more > 2 and (p[i + 3] & 0xC0) != 0x80:
            return False
        i += more + 1
    return True


cdef int reserve(Walk* w, Py_ssize_t words, int at) noexcept nogil:
    """Make room for this many more words of rows."""
    cdef Py_ssize_t capacity
    cdef int32_t* rows
    if w.capacity - w.used >= words:
        w.used += words
        return 0
    capacity = w.used + words + (w.used + words) // 2
    rows = <int32_t*>malloc((capacity + SLOT_WORDS) * sizeof(int32_t))
    if rows == NULL:
        return fail(w, MEMORY, at)
    memcpy(rows, w.rows, w.used * sizeof(int32_t))
    free(w.heap)
    w.rows = w.heap = rows
    w.capacity = capacity
    w.used += words
    return 0


cdef int walk_array(Walk* w, int at, Py_ssize_t row) noexcept nogil:
    cdef int flags = w.code[at + 1]
    cdef int slot = w.code[at + 2]
    cdef int element = w.code[at + 3]
    cdef int least = w.code[at + 4]
    cdef int width = w.code[at + 5]
    cdef int template = w.code[at + 6]
    cdef int32_t count, i
    cdef Py_ssize_t start = w.pos
    cdef Py_ssize_t content, child, first = -1
    if read_length(w, flags, 4, &count, at) < 0:
        return -1
    content = w.pos
    if count > 0:
        if count > (w.end - w.pos) // least:
            return fail(w, COUNT, at)
        if width > 0:
            w.elements += count
            if w.elements > _MAX_ELEMENTS:
                return fail(w, ELEMENTS, at)
            first = w.used
            if reserve(w, <Py_ssize_t>count * width, at) < 0:
                return -1
            w.rows[row + slot + 4] = count  # for a skim of an array that is still arriving
            w.rows[row + slot + 5] = <int32_t>first
            for i in range(count):
                child = first + <Py_ssize_t>i * width
                memcpy(w.rows + child, w.code + template, width * sizeof(int32_t))
                w.rows[child] = <int32_t>w.pos
                if walk(w, element, child) < 0:
                    return -1
                w.rows[child + 1] = <int32_t>w.pos
        else:
            for i in range(count):
                if walk(w, element, -1) < 0:
                    return -1
    if slot >= 0:
        w.rows[row + slot + 1] = <int32_t>start
        w.rows[row + slot + 2] = <int32_t>content
        w.rows[row + slot + 3] = <int32_t>w.pos
        w.rows[row + slot + 4] = count
        w.rows[row + slot + 5] = <int32_t>first
    return 0


cdef int walk_tags(Walk* w, int at, Py_ssize_t row) noexcept nogil:
    """Read the tagged section of a struct: known fields by their programs, unknown ones by their sizes."""
    cdef int known = w.code[at + 1]
    cdef int k = 0
    cdef int entry
    cdef int32_t count, i, tag, size, previous = -1
    cdef Py_ssize_t size_start, outer_end, stop
    if w.pos < w.end and w.data[w.pos] == 0:
        w.pos += 1
        return 0
    if read_uvarint(w, &count, at) < 0:
        return -1
    if count > (w.end - w.pos) // 2:
        return fail(w, COUNT, at)
    for i in range(count):
        if read_uvarint(w, &tag, at) < 0:
            return -1
        if tag <= previous:
            return fail(w, TAG_ORDER, at)
        previous = tag
        size_start = w.pos
        if read_uvarint(w, &size, at) < 0:
            return -1
        if size > w.end - w.pos:
            return fail(w, TRUNCATED, at)
        stop = w.pos + size
        while k < known and w.code[at + 2 + 3 * k] < tag:
            k += 1
        entry = at + 2 + 3 * k
        if k < known and w.code[entry] == tag:
            outer_end = w.end
            w.end = stop
            if w.code[entry + 2] >= 0:
                w.rows[row + w.code[entry + 2]] = <int32_t>size_start
            if walk(w, w.code[entry + 1], row) < 0:
                return -1
            w.end = outer_end
            if w.pos != stop:
                return fail(w, TAG_SIZE, at)
        w.pos = stop
    return 0


cdef int walk(Walk* w, int at, Py_ssize_t row) noexcept nogil:
    """Run the program at `at` with `row` for its marked fields; 0, or -1 with the fault in `w`."""
    cdef const int32_t* code = w.code
    cdef int op, size, slot
    cdef int32_t length
    cdef Py_ssize_t start
    while True:
        op = code[at]
        if op == OP_END:
            return 0
        elif op == OP_SKIP:
            if w.end - w.pos < code[at + 1]:
                return fail(w, TRUNCATED, at)
            w.pos += code[at + 1]
            at += 2
        elif op == OP_INT:
            size = code[at + 1]
            slot = code[at + 2]
            if w.end - w.pos < size:
                return fail(w, TRUNCATED, at)
            w.rows[row + slot] = <int32_t>w.pos
            if size == 4:
                w.rows[row + slot + 1] = read_int32(w.data + w.pos)
            elif size == 2:
                w.rows[row + slot + 1] = <int16_t>((w.data[w.pos] << 8) | w.data[w.pos + 1])
            else:
                w.rows[row + slot + 1] = <signed char>w.data[w.pos]
            w.pos += size
            at += 3
        elif op == OP_UUID:
            if w.end - w.pos < 16:
                return fail(w, TRUNCATED, at)
            w.rows[row + code[at + 1]] = <int32_t>w.pos
            w.pos += 16
            at += 2
        elif op == OP_STRING or op == OP_BYTES:
            start = w.pos
            slot = code[at + 2]
            if read_length(w, code[at + 1], 2 if op == OP_STRING else 4, &length, at) < 0:
                return -1
            if slot >= 0:  # before the length is believed: a skim looks at a field that is still arriving
                w.rows[row + slot] = <int32_t>start
                w.rows[row + slot + 1] = <int32_t>w.pos if length >= 0 else -1
                w.rows[row + slot + 2] = <int32_t>(w.pos + (length if length > 0 else 0))
            if length > w.end - w.pos:
                return fail(w, TRUNCATED, at)
            if length > 0:
                if op == OP_STRING:
                    if length > 32767:
                        return fail(w, LONG_STRING, at)
                    if not is_utf8(w.data + w.pos, length):
                        return fail(w, UTF8, at)
                w.pos += length
            at += 3
        elif op == OP_FIXED_ARRAY:
            if read_length(w, code[at + 1], 4, &length, at) < 0:
                return -1
            if length > 0:
                if length > (w.end - w.pos) // code[at + 2]:
                    return fail(w, COUNT, at)
                w.pos += <Py_ssize_t>length * code[at + 2]
            at += 3
        elif op == OP_ARRAY:
            if walk_array(w, at, row) < 0:
                return -1
            at += 7
        elif op == OP_STRUCT:
            if code[at + 1] & NULLABLE:
                if w.pos >= w.end:
                    return fail(w, TRUNCATED, at)
                length = <signed char>w.data[w.pos]
                if length != 1 and length != -1:
                    return fail(w, PRESENCE, at)
                w.pos += 1
                if length == -1:
                    at += 3
                    continue
            if walk(w, code[at + 2], row) < 0:
                return -1
            at += 3
        else:  # OP_TAGS
            if walk_tags(w, at, row) < 0:
                return -1
            at += 2 + 3 * code[at + 1]


@cython.final
cdef class Walked:
    """A message that was walked: its bytes, and the rows that say where its marked fields stand.

    It keeps the bytes alive and, where they are a bytearray, from being resized; their content must not change.
    """

    cdef readonly object body      # memoryview
    cdef readonly int version
    cdef readonly bint flexible
    cdef Py_buffer view
    cdef int32_t* rows
    cdef Py_ssize_t used
    cdef bint held

    def __init__(self):
        raise TypeError("made by walking a message")

    cdef const unsigned char* at(self, Py_ssize_t start, Py_ssize_t end) except NULL:
        """The bytes from `start` to `end`; a field asked about another view's element may name any place."""
        if not 0 <= start <= end <= self.view.len:
            raise IndexError("the field is not one of this element")
        return <const unsigned char*>self.view.buf + start

    def __dealloc__(self):
        free(self.rows)
        if self.held:
            PyBuffer_Release(&self.view)


@cython.final
cdef class Program:
    """A message at one version, compiled; protocol/program.py makes them."""

    def __init__(self, str name, int version, bint flexible, list code, int start, int template, int width, dict fields):
        self.name = name
        self.version = version
        self.flexible = flexible
        self._code = array.array("i", code)
        assert self._code.itemsize == sizeof(int32_t)
        self._words = <const int32_t*>self._code.data.as_ints
        self._start = start
        self._template = template
        self._width = width
        self._fields = fields

    def walk(self, body):
        """Walk a message whose bytes are `body`; nothing of it is copied.

        Raises:
            MalformedMessage: the bytes do not follow the schema from the first to the last.
        """
        cdef Walk w
        cdef int32_t small[SMALL]
        cdef Walked walked = Walked.__new__(Walked)
        walked.body = body if type(body) is memoryview else memoryview(body)
        PyObject_GetBuffer(walked.body, &walked.view, PyBUF_SIMPLE)
        walked.held = True
        walked.version = self.version
        walked.flexible = self.flexible
        self.run(&w, <const unsigned char*>walked.view.buf, walked.view.len, small)
        if w.fault == OK:
            if w.heap == NULL:
                w.heap = <int32_t*>malloc((w.used + SLOT_WORDS) * sizeof(int32_t))
                if w.heap == NULL:
                    raise MemoryError
                memcpy(w.heap, small, w.used * sizeof(int32_t))
            walked.rows = w.heap
            walked.used = w.used
            return walked
        free(w.heap)
        if w.fault == MEMORY:
            raise MemoryError
        raise MalformedMessage(self._explain(w.fault, w.fault_at, w.pos))

    cdef void run(self, Walk* w, const unsigned char* data, Py_ssize_t size, int32_t* small) noexcept nogil:
        """Walk `size` bytes with SMALL words at `small` to begin with; the outcome is in `w`, whose `heap` is to be freed."""
        w.data = data
        w.pos = 0
        w.end = size
        w.code = self._words
        w.rows = small
        w.heap = NULL
        w.used = 0
        w.capacity = SMALL
        w.elements = 0
        w.fault = OK
        w.fault_at = self._start
        if size > INT32_MAX:
            fail(w, HUGE, self._start)
        elif reserve(w, self._width, self._start) == 0:
            memcpy(w.rows, w.code + self._template, self._width * sizeof(int32_t))
            w.rows[0] = 0
            if walk(w, self._start, 0) == 0 and w.pos != w.end:
                fail(w, TRAILING, -1)
            w.rows[1] = <int32_t>w.pos

    cdef str _explain(self, int fault, int at, Py_ssize_t pos):
        where = self._fields.get(at, "the message")
        return f"{self.name} {self.version}, {where} at byte {pos}: {FAULTS[fault]}"


cdef class Row:
    """A struct of a walked message, and where its row is; reading it costs nothing until an attribute is asked for."""

    cdef readonly Walked walked
    cdef readonly Py_ssize_t row

    def __init__(self):
        raise TypeError("made by reading a message")

    cdef int32_t* words(self, Py_ssize_t slot) except NULL:
        """The words of a slot, which are there to be read whatever slot is asked for."""
        if self.walked is None or not 0 <= self.row + slot < self.walked.used:
            raise IndexError("the field is not one of this element")
        return self.walked.rows + self.row + slot

    @property
    def span(self):
        """Where the whole struct stands in the body: start and end."""
        cdef int32_t* head = self.words(0)
        return head[0], head[1]

    @property
    def body(self):
        """The bytes of the struct, tagged fields with it; a view."""
        cdef int32_t* head = self.words(0)
        return self.walked.body[head[0] : head[1]]


cdef Row row_of(type kind, Walked walked, Py_ssize_t row):
    cdef Row element = Row.__new__(kind)
    element.walked = walked
    element.row = row
    return element


def root(type kind, Walked walked not None):
    """The message itself as an element of a view class."""
    return row_of(kind, walked, 0)


@cython.final
cdef class Elements:
    """The elements of an array; empty where the array is null or absent."""

    cdef readonly Walked walked
    cdef type _kind
    cdef Py_ssize_t _at     # of the array's slot
    cdef int _width
    cdef Py_ssize_t _next

    def __init__(self):
        raise TypeError("made by reading a message")

    def __len__(self):
        return max(self.walked.rows[self._at + 4], 0)

    def __getitem__(self, Py_ssize_t index):
        if not 0 <= index < self.walked.rows[self._at + 4]:
            raise IndexError("no such element")
        return row_of(self._kind, self.walked, self.walked.rows[self._at + 5] + index * self._width)

    def __iter__(self):
        return elements_of(self._kind, self.walked, self._at, self._width)

    def __next__(self):
        if self._next >= self.walked.rows[self._at + 4]:
            raise StopIteration
        self._next += 1
        return row_of(self._kind, self.walked, self.walked.rows[self._at + 5] + (self._next - 1) * self._width)

    @property
    def is_null(self):
        """Whether the array is null, or not there at all."""
        return self.walked.rows[self._at + 4] < 0

    @property
    def places(self):
        """Where it stands: the size of its tagged field or -1, its count, its content, its end.

        Raises:
            ValueError: the version has no such array, or the message left it out.
        """
        cdef int32_t* slot = self.walked.rows + self._at
        if slot[1] < 0:
            raise ValueError(f"the array is absent at version {self.walked.version}")
        return slot[0], slot[1], slot[2], slot[3]


cdef Elements elements_of(type kind, Walked walked, Py_ssize_t at, int width):
    cdef Elements elements = Elements.__new__(Elements)
    elements.walked = walked
    elements._kind = kind
    elements._at = at
    elements._width = width
    elements._next = 0
    return elements


cdef class Slot:
    """A field of a view: its name in the schema, and where in an element's row the walker reports it."""

    cdef readonly str field
    cdef public int slot

    def __init__(self, str field not None):
        self.field = field
        self.slot = 0

    def start(self, Row element not None):
        """Where the field stands in the body.

        Raises:
            ValueError: the version has no such field, or the message left it out.
        """
        cdef int32_t start = element.words(self.slot)[0]
        if start < 0:
            raise ValueError(f"{self.field} is absent at version {element.walked.version}")
        return start


cdef class IntSlot(Slot):
    """A number of at most 32 bits, or a boolean; the schema's default where it is absent."""

    def __get__(self, Row element, owner):
        if element is None:
            return self
        return element.words(self.slot)[1]


cdef class UuidSlot(Slot):
    """A uuid as its 16 bytes; None where it is absent."""

    def __get__(self, Row element, owner):
        if element is None:
            return self
        cdef int32_t start = element.words(self.slot)[0]
        if start < 0:
            return None
        return PyBytes_FromStringAndSize(<const char*>element.walked.at(start, start + 16), 16)


cdef class SizedSlot(Slot):
    """A field with a length before its content."""

    def end(self, Row element not None):
        """Where the field ends in the body; -1 where it is absent."""
        return element.words(self.slot)[2]


cdef class OptionalTextSlot(SizedSlot):
    """A string; None where it is null or absent."""

    def __get__(self, Row element, owner):
        if element is None:
            return self
        cdef int32_t* slot = element.words(self.slot)
        if slot[1] < 0:
            return None
        return PyUnicode_DecodeUTF8(<const char*>element.walked.at(slot[1], slot[2]), slot[2] - slot[1], NULL)


cdef class TextSlot(OptionalTextSlot):
    """A string that is there at every version and never null; program.py makes sure of it."""


cdef class BytesSlot(SizedSlot):
    """A bytes or records field as a view of the body; None where it is null or absent."""

    def __get__(self, Row element, owner):
        if element is None:
            return self
        cdef int32_t* slot = element.words(self.slot)
        return None if slot[1] < 0 else element.walked.body[slot[1] : slot[2]]


cdef class ArraySlot(Slot):
    """An array of structs."""

    cdef readonly type element
    cdef int _width

    def __init__(self, str field not None, type element not None):
        if not issubclass(element, Row):
            raise TypeError(f"{field}: its elements are no rows")
        Slot.__init__(self, field)
        self.element = element
        self._width = element.layout.width

    def __get__(self, Row element, owner):
        if element is None:
            return self
        element.words(self.slot)
        return elements_of(self.element, element.walked, element.row + self.slot, self._width)

    @classmethod
    def __class_getitem__(cls, item):
        """Typing only: a field's class says what its elements are."""
        return cls


def allocate(Py_ssize_t size):
    """A bytearray of `size` bytes that are not set: `bytearray(size)` writes zeros, which makes all of it resident.

    A peer that announces 100 MB and sends nothing then costs address space only. Every byte must be written before it is read.
    """
    return PyByteArray_FromStringAndSize(NULL, size)
