# cython: language_level=3, boundscheck=False, wraparound=False
"""Masks the JSON values of a batch: a binding of the walk in `json_walk.h`.

Here the automaton becomes the walk's flat tables, once; and a batch goes through the walk without the GIL, after
which keyed masks are called and their outputs filled in. `json_text.h` reads JSON, `json_program.h` holds the tables,
`json_emit.h` writes what is masked, `json_walk.h` joins them.
"""

import json
from array import array as new_array

from wiremask.rules.automaton import Selection, build
from wiremask.rules.keyed import HashTexts
from wiremask.rules.masks import REDACTED, Drop, Fixed, Hash, Nullify, Partial, Redact
from wiremask.rules.outcome import Detail, Failure, MaskedTooLarge, Outcome, Reason

from cpython.array cimport array, clone
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset


cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* text, Py_ssize_t size)
    int resize_bytes "_PyBytes_Resize"(PyObject** text, Py_ssize_t size)
    uint8_t* bytes_data "(uint8_t*)PyBytes_AS_STRING"(PyObject* text)
    void set_size "Py_SET_SIZE"(PyObject* text, Py_ssize_t size)
    void PyErr_Clear()
    void Py_XDECREF(PyObject* thing)


# Each header is named where it declares something, so that a change of it is seen when the extension is built.
cdef extern from "json_text.h" nogil:
    ctypedef enum fault_t:
        FAULT_NONE
        FAULT_NO_MEMORY
        FAULT_TOO_LARGE


cdef extern from "json_program.h" nogil:
    ctypedef enum mask_kind_t:
        MASK_REDACT
        MASK_FIXED
        MASK_NULLIFY
        MASK_DROP
        MASK_PARTIAL
        MASK_KEYED
    ctypedef struct piece_t:
        uint32_t at
        uint32_t length
    ctypedef struct action_t:
        mask_kind_t kind
        uint8_t whole, as_string, redact_unmaskable
        int32_t rule
        piece_t text
        uint32_t keep_first, keep_last
        uint64_t separators[2]
        piece_t wide_separators
        uint32_t keyed, keyed_length
    ctypedef struct slot_t:
        uint32_t hash, target
        piece_t name
    ctypedef struct element_t:
        int64_t index
        uint32_t target
    ctypedef struct state_t:
        uint64_t lengths
        uint32_t fallback
        int32_t action
        uint32_t slots, slots_mask, elements, elements_count
    ctypedef struct program_t:
        state_t* states
        slot_t* slots
        element_t* elements
        action_t* actions
        uint8_t* pool
        uint32_t start, rules, depth_limit, name_limit
        uint8_t redact_unreadable
        piece_t marker, redacted

    uint32_t NO_NAME
    uint32_t hash_name(const uint8_t* name, size_t length, const uint8_t* end)


cdef extern from "json_emit.h" nogil:
    ctypedef struct arena_t:
        uint8_t* data
        size_t length, room, limit, hint
        int (*grow)(arena_t* arena, size_t room) noexcept nogil
        void* owner
    ctypedef struct job_t:
        uint32_t input, input_length, output, keyed, value
    ctypedef struct failure_t:
        uint32_t index
        int32_t rule
        fault_t fault
    ctypedef struct frame_t:
        pass
    ctypedef struct walk_t:
        const program_t* program
        arena_t output, inputs, jobs, failures
        frame_t* frames
        uint8_t* name
        int64_t* masked
        int64_t* pending
        uint32_t* touched
        int64_t changed, unreadable
        int32_t marker

    int grow_by_realloc(arena_t* arena, size_t room)


cdef extern from "json_walk.h" nogil:
    fault_t walk_value(walk_t* walk, const uint8_t* begin, const uint8_t* end)
    fault_t mask_batch(walk_t* walk, const uint8_t* buffer, const int32_t* values, size_t count, int32_t* spans)


# In the order of fault_t, from FAULT_EMPTY on.
cdef tuple FAULTS = (
    None, Detail.EMPTY, Detail.BYTE_ORDER_MARK, Detail.UNEXPECTED_END, Detail.UNEXPECTED_BYTE, Detail.TRAILING_BYTES,
    Detail.BAD_NUMBER, Detail.BAD_ESCAPE, Detail.LONE_SURROGATE, Detail.CONTROL_CHARACTER, Detail.BAD_UTF8,
    Detail.TOO_DEEP, Detail.NUMBER_FOR_TEXT, Detail.BOOLEAN_FOR_TEXT,
)
cdef array INTS = new_array("i")
cdef array LONGS = new_array("q")
OUTPUT_LIMIT_BYTES = 0x7FFFFFFF


cdef class JsonMasker:
    """Masks JSON values by some selections. Immutable: any number of threads may use one at once.

    Valid JSON is RFC 8259 with the limits of RFC 7493 on strings; numbers have any length, names may repeat. What no
    selection names is copied byte for byte.

    Args:
        selections: in order of precedence.
        rules: number of rules that the selections' `rule` counts in.
        depth_limit: objects and arrays that may be open at once.
        on_unreadable: whether an invalid value is refused or replaced by the marker.
        marker: a valid JSON text.
        output_limit_bytes: bound for the masked values of one batch together.

    Raises:
        AutomatonTooLarge: the paths multiply into too many states.
        ValueError: an argument is impossible.
    """

    cdef program_t program
    cdef tuple keyed
    cdef size_t output_limit

    def __init__(
        self,
        selections,
        *,
        rules,
        depth_limit=64,
        on_unreadable="reject",
        marker=b'{"wiremask":"unreadable"}',
        output_limit_bytes=OUTPUT_LIMIT_BYTES,
    ):
        if self.program.states != NULL:
            raise TypeError("a JsonMasker is set up once")
        if not 1 <= depth_limit <= 0xFFFF:
            raise ValueError("depth_limit is from 1 to 65535")
        if not 1 <= output_limit_bytes <= OUTPUT_LIMIT_BYTES:
            raise ValueError(f"output_limit_bytes is from 1 to {OUTPUT_LIMIT_BYTES}")
        if on_unreadable not in ("reject", "redact"):
            raise ValueError("on_unreadable is reject or redact")
        if not is_json(marker):
            raise ValueError("the marker is not valid JSON")
        if not all(0 <= selection.rule < rules for selection in selections):
            raise ValueError("a selection belongs to no rule")
        automaton = build(selections)
        pool = bytearray()
        self.output_limit = output_limit_bytes
        self.program.rules = rules
        self.program.depth_limit = depth_limit
        self.program.redact_unreadable = on_unreadable == "redact"
        self.program.start = automaton.start
        self.program.marker = add_piece(pool, marker)
        self.program.redacted = add_piece(pool, encode_string(REDACTED))
        self._set_actions(automaton.actions, pool)
        self._set_states(automaton.states, pool)
        self.program.pool = <uint8_t*>allocate(len(pool), 1)
        memcpy(self.program.pool, PyBytes_AS_STRING(bytes(pool)), len(pool))

    def __dealloc__(self):
        free(self.program.states)
        free(self.program.slots)
        free(self.program.elements)
        free(self.program.actions)
        free(self.program.pool)

    cdef int _set_actions(self, tuple actions, bytearray pool) except -1:
        cdef action_t* to = <action_t*>allocate(len(actions), sizeof(action_t))
        self.program.actions = to
        keyed = []
        for action in actions:
            mask = action.mask
            to.whole = action.whole
            to.rule = action.rule
            to.redact_unmaskable = action.on_unmaskable == "redact"
            if isinstance(mask, Redact):
                to.kind = MASK_REDACT
                to.text = add_piece(pool, encode_string(mask.text))
            elif isinstance(mask, Fixed):
                if not is_json(mask.literal):
                    raise ValueError("the literal of a fixed mask is not valid JSON")
                to.kind = MASK_FIXED
                to.text = add_piece(pool, mask.literal)
            elif isinstance(mask, Nullify):
                to.kind = MASK_NULLIFY
            elif isinstance(mask, Drop):
                to.kind = MASK_DROP
            elif isinstance(mask, Partial):
                set_partial(to, mask, pool)
            elif isinstance(mask, Hash):
                to.kind = MASK_KEYED
                to.as_string = mask.as_string
                to.keyed = len(keyed)
                hashing = HashTexts(mask)
                to.keyed_length = hashing.length
                keyed.append(hashing)
            else:
                raise TypeError("an unknown mask")
            to += 1
        self.keyed = tuple(keyed)
        return 0

    cdef int _set_states(self, tuple states, bytearray pool) except -1:
        cdef state_t* to = <state_t*>allocate(len(states), sizeof(state_t))
        cdef slot_t* slot
        cdef element_t* element
        cdef uint32_t i, slots_count = 0
        cdef bytes name
        self.program.states = to
        sizes = [slots_for(len(state.names)) for state in states]
        slot = self.program.slots = <slot_t*>allocate(sum(sizes), sizeof(slot_t))
        for i in range(sum(sizes)):
            slot[i].name.at = NO_NAME
        element = self.program.elements = <element_t*>allocate(sum(len(s.indexes) for s in states), sizeof(element_t))
        pieces = {}
        for state, size in zip(states, sizes):
            to.action = -1 if state.action is None else state.action
            to.fallback = state.fallback
            to.slots = slots_count
            to.slots_mask = size - 1 if size else 0
            to.elements = element - self.program.elements
            to.elements_count = len(state.indexes)
            for index, target in sorted(state.indexes.items()):
                element.index = index
                element.target = target
                element += 1
            for name, target in state.names.items():
                if name not in pieces:
                    pieces[name] = add_piece(pool, name)
                put_name(slot + slots_count, to, name, pieces[name], target)
                self.program.name_limit = max(self.program.name_limit, len(name))
            slots_count += size
            to += 1
        return 0

    def mask(self, buffer, values):
        """Masks the values of a batch. The GIL is released meanwhile, so nothing may write to the buffer.

        Args:
            buffer: the bytes that hold the values.
            values: array("i") with two ints a value, (start, length) in the buffer; length -1 is null.

        Returns:
            An Outcome; it holds copies only.

        Raises:
            ValueError: a span lies outside the buffer.
            MaskedTooLarge: the outputs of the batch outgrew the limit.
        """
        cdef Py_buffer text, given
        if self.program.pool == NULL:
            raise TypeError("the JsonMasker was not set up")
        PyObject_GetBuffer(buffer, &text, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(values, &given, PyBUF_FORMAT | PyBUF_ND)
            try:
                if given.itemsize != 4 or given.format[0] != b"i" or given.len % 8:
                    raise ValueError("values is an array of int32 pairs")
                return self._mask(<const uint8_t*>text.buf, text.len, <const int32_t*>given.buf, given.len // 8)
            finally:
                PyBuffer_Release(&given)
        finally:
            PyBuffer_Release(&text)

    cdef object _mask(self, const uint8_t* text, Py_ssize_t size, const int32_t* values, Py_ssize_t count):
        cdef walk_t walk
        cdef fault_t fault
        cdef PyObject* output
        cdef size_t hint = check_values(values, count, size)
        cdef array spans = clone(INTS, 2 * count, False)
        cdef array masked = new_array("q", bytes(8 * self.program.rules))
        memset(&walk, 0, sizeof(walk))
        walk.program = &self.program
        walk.masked = <int64_t*>masked.data.as_longlongs
        walk.marker = -1
        # Most masks keep or shrink a value. A first guess that is too large costs only address space.
        set_up(&walk.output, grow_bytes, min(hint + hint // 8 + 64, self.output_limit), self.output_limit)
        set_up(&walk.inputs, grow_by_realloc, 4096, 0xFFFFFFFF)
        set_up(&walk.jobs, grow_by_realloc, 128 * sizeof(job_t), 0xFFFFFFFF)
        set_up(&walk.failures, grow_by_realloc, 16 * sizeof(failure_t), 0xFFFFFFFF)
        try:
            walk.frames = <frame_t*>allocate(self.program.depth_limit + 1, sizeof(frame_t))
            walk.name = <uint8_t*>allocate(self.program.name_limit, 1)
            walk.pending = <int64_t*>allocate(self.program.rules, sizeof(int64_t))
            walk.touched = <uint32_t*>allocate(self.program.rules, sizeof(uint32_t))
            with nogil:
                fault = mask_batch(&walk, text, values, count, <int32_t*>spans.data.as_ints)
            if fault == FAULT_NO_MEMORY:
                raise MemoryError
            if fault == FAULT_TOO_LARGE:
                raise MaskedTooLarge("the masked values of a batch outgrew the limit")
            if walk.jobs.length:
                self._fill_in(&walk)
                settle_keyed(&walk, text, values, <int32_t*>spans.data.as_ints)
            return Outcome(
                values=take_bytes(&walk.output),
                spans=spans,
                changed=walk.changed,
                failures=read_failures(&walk),
                masked=masked,
                unreadable=walk.unreadable,
            )
        finally:
            Py_XDECREF(<PyObject*>walk.output.owner)
            free(walk.inputs.data)
            free(walk.jobs.data)
            free(walk.failures.data)
            free(walk.frames)
            free(walk.name)
            free(walk.pending)
            free(walk.touched)

    cdef int _fill_in(self, walk_t* walk) except -1:
        """Calls each keyed mask once with all its inputs, and puts the outputs where room was left."""
        cdef job_t* jobs = <job_t*>walk.jobs.data
        cdef size_t i, count = walk.jobs.length // sizeof(job_t)
        cdef uint32_t keyed
        cdef size_t length, mine
        cdef array spans
        cdef bytes outputs
        texts = PyMemoryView_FromMemory(<char*>walk.inputs.data if walk.inputs.data else <char*>b"",
                                        walk.inputs.length, PyBUF_READ)
        try:
            for keyed in range(len(self.keyed)):
                mine = 0
                for i in range(count):
                    mine += jobs[i].keyed == keyed
                if mine == 0:
                    continue
                spans = clone(LONGS, 2 * mine, False)
                mine = 0
                for i in range(count):
                    if jobs[i].keyed == keyed:
                        spans.data.as_longlongs[mine] = jobs[i].input
                        spans.data.as_longlongs[mine + 1] = jobs[i].input_length
                        mine += 2
                outputs = self.keyed[keyed].mask(texts, spans)
                length = self.keyed[keyed].length
                if <size_t>len(outputs) != mine // 2 * length:
                    raise RuntimeError("a keyed mask gave outputs of a wrong length")
                mine = 0
                for i in range(count):
                    if jobs[i].keyed == keyed:
                        memcpy(walk.output.data + jobs[i].output, PyBytes_AS_STRING(outputs) + mine, length)
                        mine += length
        finally:
            texts.release()
        return 0


cdef void* allocate(size_t count, size_t size) except NULL:
    """Zeroed memory; never of no bytes."""
    cdef void* memory = calloc(max(count, 1), size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef piece_t add_piece(bytearray pool, bytes text) except *:
    cdef piece_t piece
    if len(pool) + len(text) > 0x7FFFFFFF:
        raise ValueError("the texts of the rules are too long together")
    piece.at = len(pool)
    piece.length = len(text)
    pool += text
    return piece


cdef bytes encode_string(str text):
    """A JSON string; raises ValueError for half a surrogate pair, without quoting it."""
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half a surrogate pair") from None


cdef bint is_json(bytes text) except -1:
    cdef program_t program
    cdef state_t dead
    cdef walk_t walk
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(text)
    memset(&program, 0, sizeof(program))
    memset(&dead, 0, sizeof(dead))
    memset(&walk, 0, sizeof(walk))
    dead.action = -1
    program.states = &dead
    program.depth_limit = 64
    walk.program = &program
    walk.frames = <frame_t*>allocate(65, sizeof(frame_t))
    try:
        return walk_value(&walk, begin, begin + len(text)) == FAULT_NONE
    finally:
        free(walk.frames)


cdef int set_partial(action_t* to, mask, bytearray pool) except -1:
    cdef uint32_t code
    if len(mask.char) != 1:
        raise ValueError("partial hides with exactly one character")
    if mask.keep_first < 0 or mask.keep_last < 0:
        raise ValueError("partial keeps no less than 0 characters")
    to.kind = MASK_PARTIAL
    to.as_string = mask.as_string
    to.keep_first = min(mask.keep_first, 0x7FFFFFFF)
    to.keep_last = min(mask.keep_last, 0x7FFFFFFF)
    to.text = add_piece(pool, encode_string(mask.char).removeprefix(b'"').removesuffix(b'"'))
    wide = new_array("I")
    for char in mask.separators:
        code = ord(char)
        if code < 0x80:
            to.separators[code >> 6] |= (<uint64_t>1) << (code & 63)
        else:
            wide.append(code)
    to.wide_separators = add_piece(pool, wide.tobytes())
    return 0


cdef uint32_t slots_for(size_t names):
    """A power of two that leaves half of the slots empty; 0 for no names."""
    cdef uint32_t size = 2
    if names == 0:
        return 0
    while size < 2 * names:
        size *= 2
    return size


cdef void put_name(slot_t* slots, state_t* state, bytes name, piece_t piece, uint32_t target):
    cdef size_t length = len(name)
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(name)
    cdef uint32_t hash = hash_name(begin, length, begin + length)
    cdef uint32_t i = hash & state.slots_mask
    while slots[i].name.at != NO_NAME:
        i = (i + 1) & state.slots_mask
    slots[i].hash = hash
    slots[i].name = piece
    slots[i].target = target
    state.lengths |= (<uint64_t>1) << min(length, <size_t>63)


cdef size_t check_values(const int32_t* values, Py_ssize_t count, Py_ssize_t size) except? 0:
    """The length of all values together, once each is found inside the buffer."""
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(count):
        if values[2 * i + 1] == -1:
            continue
        if values[2 * i] < 0 or values[2 * i + 1] < 0 or <int64_t>values[2 * i] + values[2 * i + 1] > size:
            raise ValueError(f"value {i} lies outside the buffer")
        total += <size_t>values[2 * i + 1]
    return total


cdef void set_up(arena_t* arena, int (*grow)(arena_t*, size_t) noexcept nogil, size_t hint, size_t limit):
    arena.grow = grow
    arena.hint = hint
    arena.limit = limit


cdef int grow_bytes(arena_t* arena, size_t room) noexcept with gil:
    """Grows an arena that is a bytes object nobody else knows yet, so that the output is never copied."""
    cdef PyObject* owner = <PyObject*>arena.owner
    if owner == NULL:
        owner = new_bytes(NULL, room)
        if owner == NULL:
            PyErr_Clear()
            return -1
    elif resize_bytes(&owner, room):
        # The bytes object is gone.
        PyErr_Clear()
        arena.owner = NULL
        arena.data = NULL
        arena.length = arena.room = 0
        return -1
    arena.owner = owner
    arena.data = bytes_data(owner)
    arena.room = room
    return 0


cdef bytes take_bytes(arena_t* arena):
    """The content of an arena made by grow_bytes; the arena is empty afterwards."""
    cdef PyObject* owner = <PyObject*>arena.owner
    if owner == NULL:
        return b""
    arena.owner = NULL
    if arena.length < arena.room // 2:
        if resize_bytes(&owner, arena.length):
            raise MemoryError
    else:
        # glibc maps blocks of this size, and goes on mapping (a page fault for every 4 KB) as long as they are freed
        # smaller than they were asked for. That took as long as the walk; the slack is let stand instead.
        set_size(owner, arena.length)
        arena.data[arena.length] = 0  # bytes end in a null byte, which `room` does not count
    text = <bytes>owner
    Py_XDECREF(owner)
    return text


cdef void settle_keyed(walk_t* walk, const uint8_t* text, const int32_t* values, int32_t* spans):
    """Finds the values that keyed masks left as they were, now that their outputs are known."""
    cdef job_t* jobs = <job_t*>walk.jobs.data
    cdef size_t i, count = walk.jobs.length // sizeof(job_t)
    cdef size_t value
    for i in range(count):
        value = jobs[i].value
        if i + 1 < count and jobs[i + 1].value == value:
            continue
        if spans[2 * value + 1] == values[2 * value + 1] and memcmp(
            walk.output.data + spans[2 * value], text + values[2 * value], spans[2 * value + 1]
        ) == 0:
            spans[2 * value] = -1
            spans[2 * value + 1] = 0
            walk.changed -= 1


cdef tuple read_failures(walk_t* walk):
    cdef failure_t* failures = <failure_t*>walk.failures.data
    cdef size_t i
    return tuple([
        Failure(
            index=failures[i].index,
            rule=failures[i].rule,
            reason=Reason.UNREADABLE if failures[i].rule < 0 else Reason.UNMASKABLE,
            detail=FAULTS[<int>failures[i].fault],
        )
        for i in range(walk.failures.length // sizeof(failure_t))
    ])
