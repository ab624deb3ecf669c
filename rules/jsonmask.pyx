# cython: language_level=3, boundscheck=False, wraparound=False
"""Masks the JSON values of a batch: a binding of the walk in `json_walk.h`.

Here the automaton becomes the walk's flat tables, once; and a batch goes through the walk without the GIL, after
which collected masks are called, once each, and the values put together with their outputs. `json_text.h` reads JSON,
`json_program.h` holds the tables, `json_emit.h` writes what is masked, `json_walk.h` joins them.
"""

from array import array as new_array
from json.encoder import encode_basestring as quote

from wiremask.rules.automaton import Selection, build
from wiremask.rules.maskers import collect
from wiremask.rules.masks import REDACTED, Drop, Fixed, Hash, Nullify, Partial, Pattern, Redact, Truncate
from wiremask.rules.outcome import Detail, Failure, MaskedTooLarge, Outcome, Reason

from cpython.array cimport array, clone
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
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

    const uint8_t* read_number(const uint8_t* p, const uint8_t* end, fault_t* fault)


cdef extern from "sha256.h" nogil:
    ctypedef struct hmac_t:
        pass

    int sha256_choose(int portable)
    void hmac_set_up(hmac_t* hmac, const uint8_t* key, size_t length)


cdef extern from "json_program.h" nogil:
    ctypedef enum mask_kind_t:
        MASK_REDACT
        MASK_FIXED
        MASK_NULLIFY
        MASK_DROP
        MASK_PARTIAL
        MASK_TRUNCATE
        MASK_PATTERN
        MASK_HASH
        MASK_COLLECTED
    ctypedef enum hash_form_t:
        HASH_HEX
        HASH_BASE64URL
        HASH_CROCKFORD
    ctypedef struct piece_t:
        uint32_t at
        uint32_t length
    ctypedef struct action_t:
        mask_kind_t kind
        uint8_t whole, takes_numbers, redact_unmaskable
        int32_t rule
        piece_t text, number, boolean
        uint32_t keep_first, keep_last, fixed_length
        uint64_t separators[2]
        piece_t wide_separators
        hmac_t hmac
        hash_form_t hash_form
        uint32_t hash_length, collected
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
        piece_t marker, redacted, zero, no

    uint32_t NO_NAME
    uint32_t hash_name(const uint8_t* name, size_t length, const uint8_t* end)


cdef extern from "json_emit.h" nogil:
    ctypedef struct arena_t:
        uint8_t* data
        size_t length, room, limit, hint
        int (*grow)(arena_t* arena, size_t room) noexcept nogil
        void* owner
    ctypedef enum leaf_t:
        LEAF_STRING
        LEAF_NUMBER
    ctypedef struct job_t:
        uint32_t input, input_length, output, action, value
        leaf_t leaf
    ctypedef struct tally_t:
        uint32_t value, rule
        int64_t count
    ctypedef struct failure_t:
        uint32_t index
        int32_t rule
        fault_t fault
    ctypedef struct frame_t:
        pass
    ctypedef struct walk_t:
        const program_t* program
        arena_t output, inputs, jobs, tallies, failures
        frame_t* frames
        uint8_t* name
        int64_t* masked
        int64_t* pending
        uint32_t* touched
        int64_t changed, unreadable
        int32_t marker

    int grow_by_realloc(arena_t* arena, size_t room)
    fault_t reserve(arena_t* arena, size_t more)


cdef extern from "json_walk.h" nogil:
    fault_t walk_value(walk_t* walk, const uint8_t* begin, const uint8_t* end)
    fault_t mask_batch(walk_t* walk, const uint8_t* buffer, const int32_t* values, size_t count, int32_t* spans)


# In the order of fault_t, from FAULT_EMPTY on.
cdef tuple FAULTS = (
    None, Detail.EMPTY, Detail.BYTE_ORDER_MARK, Detail.UNEXPECTED_END, Detail.UNEXPECTED_BYTE, Detail.TRAILING_BYTES,
    Detail.BAD_NUMBER, Detail.BAD_ESCAPE, Detail.LONE_SURROGATE, Detail.CONTROL_CHARACTER, Detail.BAD_UTF8,
    Detail.TOO_DEEP, Detail.NUMBER_FOR_TEXT, Detail.BOOLEAN_FOR_TEXT,
)
sha256_choose(False)
cdef dict HASHES = {"hex": (HASH_HEX, 64), "base64url": (HASH_BASE64URL, 43), "crockford": (HASH_CROCKFORD, 52)}
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
        topic: the topic of the values, for the masks that bind their outputs to it.

    Raises:
        AutomatonTooLarge: the paths multiply into too many states.
        ValueError: an argument is impossible.
    """

    cdef program_t program
    cdef tuple collected
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
        topic="",
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
        self.program.zero = add_piece(pool, b"0")
        self.program.no = add_piece(pool, b"false")
        self._set_actions(automaton.actions, pool, topic)
        self._set_states(automaton.states, pool)
        self.program.pool = <uint8_t*>allocate(len(pool), 1)
        memcpy(self.program.pool, PyBytes_AS_STRING(bytes(pool)), len(pool))

    def __dealloc__(self):
        free(self.program.states)
        free(self.program.slots)
        free(self.program.elements)
        free(self.program.actions)
        free(self.program.pool)

    cdef int _set_actions(self, tuple actions, bytearray pool, str topic) except -1:
        cdef action_t* to = <action_t*>allocate(len(actions), sizeof(action_t))
        self.program.actions = to
        collected = []
        for action in actions:
            mask = action.mask
            to.whole = action.whole
            to.rule = action.rule
            to.redact_unmaskable = action.on_unmaskable == "redact"
            if isinstance(mask, Redact):
                to.kind = MASK_REDACT
                to.text = add_piece(pool, encode_string(mask.text))
                to.number = add_literal(pool, mask.number)
                to.boolean = add_literal(pool, mask.boolean)
            elif isinstance(mask, Fixed):
                to.kind = MASK_FIXED
                to.text = add_literal(pool, mask.literal)
            elif isinstance(mask, Nullify):
                to.kind = MASK_NULLIFY
            elif isinstance(mask, Drop):
                to.kind = MASK_DROP
            elif isinstance(mask, Partial):
                set_partial(to, mask, pool)
            elif isinstance(mask, Truncate):
                if not 0 <= mask.length <= 0x7FFFFFFF:
                    raise ValueError("truncate keeps no less than 0 characters")
                to.kind = MASK_TRUNCATE
                to.keep_first = mask.length
                to.takes_numbers = mask.as_string
            elif isinstance(mask, Pattern):
                to.kind = MASK_PATTERN
                to.takes_numbers = mask.as_string
            elif isinstance(mask, Hash):
                set_hash(to, mask)
            else:
                to.kind = MASK_COLLECTED
                to.collected = len(collected)
                ready = collect(mask, topic)
                to.takes_numbers = ready.takes_numbers
                collected.append(ready)
            to += 1
        self.collected = tuple(collected)
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
        set_up(&walk.tallies, grow_by_realloc, 64 * sizeof(tally_t), 0xFFFFFFFF)
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
            failures = read_failures(&walk)
            if walk.jobs.length:
                outputs = self._call_collected(&walk)
                refused = self._put_together(&walk, outputs, text, values, <int32_t*>spans.data.as_ints, count)
                failures = tuple(sorted(failures + refused, key=by_index))
            return Outcome(
                values=take_bytes(&walk.output),
                spans=spans,
                changed=walk.changed,
                failures=failures,
                masked=masked,
                unreadable=walk.unreadable,
            )
        finally:
            Py_XDECREF(<PyObject*>walk.output.owner)
            free(walk.inputs.data)
            free(walk.jobs.data)
            free(walk.tallies.data)
            free(walk.failures.data)
            free(walk.frames)
            free(walk.name)
            free(walk.pending)
            free(walk.touched)

    cdef list _call_collected(self, walk_t* walk):
        """Calls each collected mask once with all its leaves: for each job the JSON text of its output, or None."""
        cdef job_t* jobs = <job_t*>walk.jobs.data
        cdef size_t i, count = walk.jobs.length // sizeof(job_t)
        cdef list outputs = [None] * count
        cdef list places = [[] for _ in self.collected]
        cdef list texts = [[] for _ in self.collected]
        cdef list kinds = [bytearray() for _ in self.collected]
        cdef uint32_t which
        for i in range(count):
            which = self.program.actions[jobs[i].action].collected
            # Sound UTF-8 already; "replace" because an error would quote it.
            (<list>texts[which]).append(
                PyUnicode_DecodeUTF8(<char*>walk.inputs.data + jobs[i].input, jobs[i].input_length, "replace")
                if jobs[i].input_length else ""
            )
            (<bytearray>kinds[which]).append(b"n"[0] if jobs[i].leaf == LEAF_NUMBER else b"s"[0])
            (<list>places[which]).append(i)
        for which in range(len(self.collected)):
            if not texts[which]:
                continue
            mask = self.collected[which]
            masked = mask.mask(texts[which], bytes(kinds[which]))
            if len(masked) != len(texts[which]):
                raise RuntimeError("a mask gave too few or too many outputs")
            for place, kind, output in zip(places[which], kinds[which], masked):
                if output is None:
                    continue
                if kind == b"n"[0] and not mask.makes_text:
                    outputs[place] = encode_number(output)
                else:
                    outputs[place] = encode_string(output)
        return outputs

    cdef tuple _put_together(
        self, walk_t* walk, list outputs, const uint8_t* text, const int32_t* values, int32_t* spans, Py_ssize_t count
    ):
        """Copies the values of the output into another one with the outputs of collected masks in their places.

        Returns the failures of the values with an output of None that may not be redacted.
        """
        cdef arena_t whole
        cdef job_t* jobs = <job_t*>walk.jobs.data
        cdef const action_t* action
        cdef size_t job = 0, tally = 0, jobs_count = walk.jobs.length // sizeof(job_t)
        cdef size_t start, at, end, total = walk.output.length
        cdef Py_ssize_t i
        cdef int32_t marker = -1
        cdef int32_t refuser
        cdef list failures = []
        for i in range(<Py_ssize_t>jobs_count):
            if outputs[i] is None:
                action = self.program.actions + jobs[i].action
                if action.redact_unmaskable:
                    outputs[i] = b"0" if jobs[i].leaf == LEAF_NUMBER else encode_string(REDACTED)
            if outputs[i] is not None:
                total += len(<bytes>outputs[i])
        memset(&whole, 0, sizeof(whole))
        set_up(&whole, grow_bytes, min(total, self.output_limit), self.output_limit)
        try:
            for i in range(count):
                if spans[2 * i] < 0:
                    continue
                start = whole.length
                at = spans[2 * i]
                end = at + <size_t>spans[2 * i + 1]
                if spans[2 * i] == walk.marker and (job == jobs_count or jobs[job].value != <uint32_t>i):
                    if marker < 0:
                        marker = start
                        append(&whole, walk.output.data + at, end - at)
                    spans[2 * i] = marker
                    continue
                refuser = -1
                while job < jobs_count and jobs[job].value == <uint32_t>i:
                    if outputs[job] is None:
                        if refuser < 0:
                            refuser = self.program.actions[jobs[job].action].rule
                    elif refuser < 0:
                        append(&whole, walk.output.data + at, jobs[job].output - at)
                        append(&whole, <const uint8_t*>PyBytes_AS_STRING(<bytes>outputs[job]), len(<bytes>outputs[job]))
                        at = jobs[job].output
                    job += 1
                if refuser >= 0:
                    whole.length = start
                    spans[2 * i] = -2
                    spans[2 * i + 1] = 0
                    walk.changed -= 1
                    tally = take_back(walk, i, tally)
                    failures.append(
                        Failure(index=i, rule=refuser, reason=Reason.UNMASKABLE, detail=Detail.UNFIT)
                    )
                    continue
                append(&whole, walk.output.data + at, end - at)
                if whole.length - start == <size_t>values[2 * i + 1] and memcmp(
                    whole.data + start, text + values[2 * i], whole.length - start
                ) == 0:
                    whole.length = start
                    spans[2 * i] = -1
                    spans[2 * i + 1] = 0
                    walk.changed -= 1
                    continue
                spans[2 * i] = start
                spans[2 * i + 1] = whole.length - start
            walk.output, whole = whole, walk.output
        finally:
            Py_XDECREF(<PyObject*>whole.owner)
        return tuple(failures)


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


cdef piece_t add_literal(bytearray pool, bytes text) except *:
    if not is_json(text):
        raise ValueError("the literal of a mask is not valid JSON")
    return add_piece(pool, text)


cdef bytes encode_number(str text):
    """A JSON number as a mask gave it; what is none must not get into a value."""
    cdef bytes number = text.encode("ascii", "replace")
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(number)
    cdef const uint8_t* end = begin + len(number)
    cdef fault_t fault = FAULT_NONE
    if begin == end or read_number(begin, end, &fault) != end:
        raise RuntimeError("a mask gave a number that is none")
    return number


cdef bytes encode_string(str text):
    """A JSON string; raises ValueError for half a surrogate pair, without quoting it."""
    try:
        return quote(text).encode()
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
    if not 0 <= mask.fixed_length <= 0xFFFF:
        raise ValueError("partial hides by 0 to 65535 characters")
    to.kind = MASK_PARTIAL
    to.fixed_length = mask.fixed_length
    to.takes_numbers = mask.as_string
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


cdef int set_hash(action_t* to, mask) except -1:
    form, ceiling = HASHES[mask.encoding]
    if len(mask.subkey) != 32:
        raise ValueError("the subkey of a hash has 32 bytes")
    if not 1 <= mask.length <= ceiling:
        raise ValueError(f"a {mask.encoding} hash keeps 1 to {ceiling} characters")
    to.kind = MASK_HASH
    to.takes_numbers = mask.as_string
    to.hash_form = form
    to.hash_length = mask.length
    hmac_set_up(&to.hmac, <const uint8_t*>PyBytes_AS_STRING(mask.subkey), 32)
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


cdef int append(arena_t* arena, const uint8_t* data, size_t size) except -1:
    cdef fault_t fault = reserve(arena, size)
    if fault == FAULT_NO_MEMORY:
        raise MemoryError
    if fault == FAULT_TOO_LARGE:
        raise MaskedTooLarge("the masked values of a batch outgrew the limit")
    if size:
        memcpy(arena.data + arena.length, data, size)
    arena.length += size
    return 0


cdef size_t take_back(walk_t* walk, uint32_t value, size_t at):
    """Takes the leaves of a value out of the counts. Looks from the tally `at` on, and gives the one to go on at.

    Values come in order, and so do their tallies: all calls of a batch together look at each tally once.
    """
    cdef tally_t* tallies = <tally_t*>walk.tallies.data
    cdef size_t count = walk.tallies.length // sizeof(tally_t)
    while at < count and tallies[at].value <= value:
        if tallies[at].value == value:
            walk.masked[tallies[at].rule] -= tallies[at].count
        at += 1
    return at


def by_index(failure):
    return failure.index


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
