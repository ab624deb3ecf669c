# cython: language_level=3, boundscheck=False, wraparound=False
"""Masks the JSON values of a batch: a binding of the walk in `json_walk.h`.

A batch goes through the walk without the GIL, after which collected masks are called, once each, and the values put
together with their outputs. `json_text.h` reads JSON, `json_program.h` holds the tables (`jsonprogram.pyx` makes them),
`json_emit.h` writes what is masked, `json_search.h` masks what detectors find, `json_walk.h` joins them.
"""

from array import array as new_array

from wiremask.rules.kernel.collected import BySubject
from wiremask.rules.kernel.automaton import build
from wiremask.rules.kernel.detection import weave
from wiremask.rules.model.masks import REDACTED
from wiremask.rules.outcome import Detail, Failure, MaskedTooLarge, Outcome, Reason
from wiremask.rules.kernel.searchmask import Leaf, SearchMask

from cpython.array cimport array, clone
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

from wiremask.rules.kernel.json_kernel cimport (
    FAULT_NO_MEMORY,
    FAULT_NONE,
    FAULT_TOO_LARGE,
    LEAF_NUMBER,
    LEAF_SPAN,
    NO_SEARCH,
    action_t,
    arena_t,
    failure_t,
    fault_t,
    frame_t,
    grow_by_realloc,
    job_t,
    leaf_t,
    mask_batch,
    program_t,
    read_number,
    reserve,
    sha256_choose,
    tally_t,
    walk_t,
)
from wiremask.rules.kernel.jsonprogram cimport Program, allocate, build_program, encode_string


cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* text, Py_ssize_t size)
    int resize_bytes "_PyBytes_Resize"(PyObject** text, Py_ssize_t size)
    uint8_t* bytes_data "(uint8_t*)PyBytes_AS_STRING"(PyObject* text)
    void set_size "Py_SET_SIZE"(PyObject* text, Py_ssize_t size)
    void PyErr_Clear()
    void Py_XDECREF(PyObject* thing)


# In the order of fault_t, from FAULT_EMPTY on.
cdef tuple FAULTS = (
    None, Detail.EMPTY, Detail.BYTE_ORDER_MARK, Detail.UNEXPECTED_END, Detail.UNEXPECTED_BYTE, Detail.TRAILING_BYTES,
    Detail.BAD_NUMBER, Detail.BAD_ESCAPE, Detail.LONE_SURROGATE, Detail.CONTROL_CHARACTER, Detail.BAD_UTF8,
    Detail.TOO_DEEP, Detail.NUMBER_FOR_TEXT, Detail.BOOLEAN_FOR_TEXT,
)
sha256_choose(False)
cdef array INTS = new_array("i")
cdef array LONGS = new_array("q")
cdef arena_t spare  # memory for the output of the next run, whichever masker's it is; the lock of the interpreter guards it
cdef enum:
    RUNS = 4  # that a masker keeps: one for each thread that may want one
    SPARE_ROOM = 2 << 20  # bytes
    KEPT_ROOM = 64 << 10
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
        conditions: number of conditions that `Selection.when` counts in.

    Values are masked one by one, so that one rule may act on this value and not on the next: see `conditions` of `mask`.

    Raises:
        AutomatonTooLarge: the paths multiply into too many states.
        ValueError: an argument is impossible.
    """

    cdef Program program
    cdef size_t output_limit
    cdef list _runs

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
        conditions=0,
    ):
        if self.program is not None:
            raise TypeError("a JsonMasker is set up once")
        if not 1 <= output_limit_bytes <= OUTPUT_LIMIT_BYTES:
            raise ValueError(f"output_limit_bytes is from 1 to {OUTPUT_LIMIT_BYTES}")
        if on_unreadable not in ("reject", "redact"):
            raise ValueError("on_unreadable is reject or redact")
        if not all(0 <= selection.rule < rules for selection in selections):
            raise ValueError("a selection belongs to no rule")
        if not all(selection.when is None or 0 <= selection.when < conditions for selection in selections):
            raise ValueError("a selection asks for no condition that there is")
        self.output_limit = output_limit_bytes
        self._runs = []
        self.program = build_program(
            build(weave(selections)), rules, conditions, depth_limit, on_unreadable == "redact", marker, topic
        )

    @property
    def runs_alone(self):
        """Whether the kernel does all of it: no mask is called, and nothing is asked of the rest of a record."""
        return not self.program.collected and not self.program.tables.conditions

    def take_run(self):
        """What masks without an object a batch; only if `runs_alone`. Whoever takes it gives it back."""
        cdef MaskRun run = self._runs.pop() if self._runs else make_run(self)
        run.take_output()
        return run

    def give_run(self, MaskRun run not None):
        """Takes a run back, and keeps it for the next who wants one."""
        run.give_output()
        if run._program is self.program and len(self._runs) < RUNS:
            self._runs.append(run)

    def mask(self, buffer, values, bytes conditions=b"", bytearray findings=None):
        """Masks the values of a batch. The GIL is released meanwhile, so nothing may write to the buffer.

        Args:
            buffer: the bytes that hold the values.
            values: array("i") with two ints a value, (start, length) in the buffer; length -1 is null.
            conditions: for each value, a byte for each number of `Selection.when`: 1 where the condition holds, else 0.
            findings: takes, for each value, what selections with `OneOf` found: bit 0 is set for a node that equals one
                of the literals, bit 1 for one that does not, bit 2 for one of another kind; 0 if the value is unreadable.

        Returns:
            An Outcome; it holds copies only.

        Raises:
            ValueError: a span lies outside the buffer, or `conditions` has another length.
            MaskedTooLarge: the outputs of the batch outgrew the limit.
        """
        return self._run(buffer, values, conditions, findings, False)

    def leaves(self, buffer, values):
        """The leaves that the values of a batch have for collected masks, as (index of the value, text), in order.

        Values that are refused have none. No mask is called. The arguments are those of `mask`.
        """
        return self._run(buffer, values, bytes(self.program.tables.conditions * (len(values) // 2)), None, True)

    cdef object _run(self, buffer, values, bytes conditions, bytearray findings, bint only_leaves):
        cdef Py_buffer text, given
        if self.program is None:
            raise TypeError("the JsonMasker was not set up")
        PyObject_GetBuffer(buffer, &text, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(values, &given, PyBUF_FORMAT | PyBUF_ND)
            try:
                if given.itemsize != 4 or given.format[0] != b"i" or given.len % 8:
                    raise ValueError("values is an array of int32 pairs")
                if self.program.tables.conditions * (given.len // 8) != len(conditions):
                    raise ValueError("conditions has a byte for each condition and value")
                if findings is not None and len(findings) != given.len // 8:
                    raise ValueError("findings has a byte for each value")
                return self._mask(
                    buffer, values, <const uint8_t*>text.buf, text.len, <const int32_t*>given.buf, given.len // 8,
                    conditions, findings, only_leaves,
                )
            finally:
                PyBuffer_Release(&given)
        finally:
            PyBuffer_Release(&text)

    cdef object _mask(
        self, buffer, spans_given, const uint8_t* text, Py_ssize_t size, const int32_t* values, Py_ssize_t count,
        bytes conditions, bytearray findings, bint only_leaves,
    ):
        cdef walk_t walk
        cdef const uint8_t* holds = <const uint8_t*>PyBytes_AS_STRING(conditions)
        cdef fault_t fault
        cdef PyObject* output
        cdef size_t hint = check_values(values, count, size)
        cdef array spans = clone(INTS, 2 * count, False)
        cdef array masked = new_array("q", bytes(8 * self.program.tables.rules))
        begin_walk(&walk, &self.program.tables)
        walk.masked = <int64_t*>masked.data.as_longlongs
        if findings is not None:
            walk.findings = <uint8_t*>PyByteArray_AS_STRING(findings)
        # Most masks keep or shrink a value. A first guess that is too large costs only address space.
        set_up(&walk.output, grow_bytes, min(hint + hint // 8 + 64, self.output_limit), self.output_limit)
        try:
            allocate_for(&walk)
            suspects = self._find_suspects(text, size, values, count)
            walk.suspects = <const uint8_t*>PyBytes_AS_STRING(suspects)
            with nogil:
                fault = mask_batch(&walk, text, values, holds, count, <int32_t*>spans.data.as_ints)
            if fault == FAULT_NO_MEMORY:
                raise MemoryError
            if fault == FAULT_TOO_LARGE:
                raise MaskedTooLarge("the masked values of a batch outgrew the limit")
            if only_leaves:
                return read_leaves(&walk)
            failures = read_failures(&walk)
            if walk.jobs.length:
                credits = {}
                outputs = self._call_collected(&walk, text, values, buffer, spans_given, credits)
                refused = self._put_together(&walk, outputs, credits, text, values, <int32_t*>spans.data.as_ints, count)
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
            end_walk(&walk)

    cdef bytes _find_suspects(self, const uint8_t* text, Py_ssize_t size, const int32_t* values, Py_ssize_t count):
        """For each value whether a pattern of the ruleset may match in it; nothing if there are no patterns."""
        cdef Py_ssize_t i
        masks = [mask for mask in self.program.collected if isinstance(mask, SearchMask) and mask.patterns]
        if not masks:
            return b""
        whole = PyMemoryView_FromMemory(<char*>text, size, PyBUF_READ)
        if size == 0 or not any(mask.suspects(whole) for mask in masks):
            return bytes(count)
        suspects = bytearray(count)
        for i in range(count):
            if values[2 * i + 1] > 0:
                value = whole[values[2 * i]:values[2 * i] + values[2 * i + 1]]
                suspects[i] = any(mask.suspects(value) for mask in masks)
        return bytes(suspects)

    cdef list _call_collected(
        self, walk_t* walk, const uint8_t* text, const int32_t* values, buffer, spans_given, dict credits
    ):
        """Calls each collected mask once with all its leaves.

        A leaf that a mask gives back, the very object, stays as it is written.

        Returns:
            For each job the JSON text of its output, None if the mask does not take the leaf, or the number of the rule
            whose mask does not take something in it. `credits` gets what was masked in searched leaves, by value.
        """
        cdef job_t* jobs = <job_t*>walk.jobs.data
        cdef size_t i, count = walk.jobs.length // sizeof(job_t)
        cdef list outputs = [None] * count
        cdef list places = [[] for _ in self.program.collected]
        cdef list texts = [[] for _ in self.program.collected]
        cdef list kinds = [bytearray() for _ in self.program.collected]
        cdef list leaves = [[] for _ in self.program.collected]
        cdef uint32_t which
        for i in range(count):
            which = self.program.tables.actions[jobs[i].action].collected
            (<list>places[which]).append(i)
            if self.program.tables.actions[jobs[i].action].search != NO_SEARCH:
                (<list>leaves[which]).append(leaf_of(walk, jobs + i))
                continue
            (<list>texts[which]).append(read_input(walk, jobs + i))
            (<bytearray>kinds[which]).append(b"n"[0] if jobs[i].leaf == LEAF_NUMBER else b"s"[0])
        for which in range(len(self.program.collected)):
            mask = self.program.collected[which]
            if leaves[which]:
                for place, leaf, searched in zip(places[which], leaves[which], mask.search(leaves[which])):
                    i = place
                    written = as_written(jobs + i, text, values)
                    outputs[place] = output_of(jobs[i].leaf == LEAF_NUMBER, searched, mask, written)
                    credits.setdefault(jobs[<size_t>place].value, []).extend(searched.masked)
            if not texts[which]:
                continue
            if isinstance(mask, BySubject):
                owners = [jobs[<size_t>place].value for place in places[which]]
                subjects = mask.subjects(buffer, spans_given, self.program.tables.depth_limit)
                masked = mask.mask_by(texts[which], bytes(kinds[which]), [subjects.get(owner) for owner in owners])
            else:
                masked = mask.mask(texts[which], bytes(kinds[which]))
            if len(masked) != len(texts[which]):
                raise RuntimeError("a mask gave too few or too many outputs")
            for place, kind, given, output in zip(places[which], kinds[which], texts[which], masked):
                if output is None:
                    continue
                if output is given and (kind == b"s"[0] or not mask.makes_text):
                    i = place
                    outputs[place] = as_written(jobs + i, text, values)
                    continue
                if kind == b"n"[0] and not mask.makes_text:
                    outputs[place] = encode_number(output)
                elif jobs[<size_t>place].leaf == LEAF_SPAN:
                    outputs[place] = without_quotes(encode_string(output))
                else:
                    outputs[place] = encode_string(output)
        return outputs

    cdef tuple _put_together(
        self, walk_t* walk, list outputs, dict credits, const uint8_t* text, const int32_t* values, int32_t* spans, Py_ssize_t count
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
                action = self.program.tables.actions + jobs[i].action
                if action.redact_unmaskable:
                    outputs[i] = redacted_leaf(jobs[i].leaf)
            if isinstance(outputs[i], bytes):
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
                    if not isinstance(outputs[job], bytes):
                        if refuser < 0:
                            refuser = self.program.tables.actions[jobs[job].action].rule
                            if outputs[job] is not None:
                                refuser = outputs[job]
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
                for rule, leaves in credits.get(i, ()):
                    walk.masked[<int>rule] += <int64_t>leaves
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


cdef object read_input(const walk_t* walk, const job_t* job):
    """The text of a leaf. It is sound UTF-8 already; "replace" because an error would quote it."""
    if job.input_length == 0:
        return ""
    return PyUnicode_DecodeUTF8(<char*>walk.inputs.data + job.input, job.input_length, "replace")


cdef list read_leaves(const walk_t* walk):
    cdef const job_t* jobs = <const job_t*>walk.jobs.data
    cdef size_t i
    return [(jobs[i].value, read_input(walk, jobs + i)) for i in range(walk.jobs.length // sizeof(job_t))]


cdef object leaf_of(walk_t* walk, const job_t* job):
    """A leaf that is to be searched."""
    cdef const char* input = <const char*>walk.inputs.data + job.input
    return Leaf(
        text=input[:job.input_length],
        kind=b"n"[0] if job.leaf == LEAF_NUMBER else b"s"[0],
        name=(input - job.name_length)[:job.name_length],
        acting=job.acting,
    )


cdef bytes as_written(const job_t* job, const uint8_t* text, const int32_t* values):
    """The bytes of a leaf in the batch."""
    return PyBytes_FromStringAndSize(
        <const char*>text + values[2 * job.value] + job.source, job.source_length
    )


cdef object output_of(bint is_number, searched, mask, bytes written):
    """The JSON text of a leaf that was searched; as it was written if nothing was found."""
    if searched.text is None:
        return None if searched.refuser < 0 else searched.refuser
    if not searched.masked and not mask.goes_on:
        return written
    if is_number and not mask.makes_text:
        return encode_number(searched.text)
    return encode_string(searched.text)


cdef bytes redacted_leaf(leaf_t leaf):
    """What stands for a leaf that its mask does not take."""
    if leaf == LEAF_NUMBER:
        return b"0"
    return without_quotes(encode_string(REDACTED)) if leaf == LEAF_SPAN else encode_string(REDACTED)


cdef bytes without_quotes(bytes string):
    return string.removeprefix(b'"').removesuffix(b'"')


cdef bytes encode_number(str text):
    """A JSON number as a mask gave it; what is none must not get into a value."""
    cdef bytes number = text.encode("ascii", "replace")
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(number)
    cdef const uint8_t* end = begin + len(number)
    cdef fault_t fault = FAULT_NONE
    if begin == end or read_number(begin, end, &fault) != end:
        raise RuntimeError("a mask gave a number that is none")
    return number


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


cdef void begin_walk(walk_t* walk, const program_t* program):
    """Sets a walk up, save its memory (`allocate_for`) and where its output goes; `end_walk` in any case."""
    memset(walk, 0, sizeof(walk_t))
    walk.program = program
    walk.marker = -1
    set_up(&walk.inputs, grow_by_realloc, 4096, 0xFFFFFFFF)
    set_up(&walk.jobs, grow_by_realloc, 128 * sizeof(job_t), 0xFFFFFFFF)
    set_up(&walk.tallies, grow_by_realloc, 64 * sizeof(tally_t), 0xFFFFFFFF)
    set_up(&walk.lengths, grow_by_realloc, 64 * sizeof(int64_t), 0xFFFFFFFF)
    set_up(&walk.failures, grow_by_realloc, 16 * sizeof(failure_t), 0xFFFFFFFF)


cdef int allocate_for(walk_t* walk) except -1:
    walk.frames = <frame_t*>allocate(walk.program.depth_limit + 1, sizeof(frame_t))
    walk.name = <uint8_t*>allocate(walk.program.name_limit, 1)
    walk.folded = <uint8_t*>allocate(walk.program.fold_limit, 1)
    walk.pending = <int64_t*>allocate(walk.program.rules, sizeof(int64_t))
    walk.touched = <uint32_t*>allocate(walk.program.rules, sizeof(uint32_t))
    return 0


cdef void end_walk(walk_t* walk) noexcept:
    """Frees all that a walk has of its own, its output aside."""
    free(walk.inputs.data)
    free(walk.jobs.data)
    free(walk.tallies.data)
    free(walk.failures.data)
    free(walk.lengths.data)
    free(walk.finds.items)
    free(walk.frames)
    free(walk.name)
    free(walk.folded)
    free(walk.pending)
    free(walk.touched)


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


cdef class MaskRun:
    """Masks batches one after another, without an object for any of them: see JsonMasker.take_run. One thread at a time.

    `begin`, then `mask` for each batch. The spans that `mask` writes, in the form of Outcome.spans, are places in `output`,
    which is good until the next `begin`; `changed` counts from there on, and so do `masked` and `unreadable`.
    """

    def __cinit__(self):
        self._walk = NULL

    def __dealloc__(self):
        cdef walk_t* walk = <walk_t*>self._walk
        if walk != NULL:
            free(walk.output.data)
            end_walk(walk)
            free(walk)

    cdef int begin(self) except -1:
        cdef walk_t* walk = <walk_t*>self._walk
        self.masked = clone(LONGS, walk.program.rules, True)
        walk.masked = <int64_t*>self.masked.data.as_longlongs
        walk.output.length = 0
        walk.marker = -1
        walk.changed = 0
        walk.unreadable = 0
        return 0

    cdef bint mask(self, const uint8_t* text, const int32_t* values, Py_ssize_t count, int32_t* spans) noexcept nogil:
        """False where the batch must be masked by `JsonMasker.mask`: a value is refused, or there is too much of it.

        The values lie inside `text`.
        """
        cdef walk_t* walk = <walk_t*>self._walk
        cdef bint is_done = mask_batch(walk, text, values, NULL, count, spans) == FAULT_NONE and not walk.failures.length
        walk.failures.length = 0
        return is_done

    cdef int64_t changed(self) noexcept nogil:
        return (<walk_t*>self._walk).changed

    cdef int64_t unreadable(self) noexcept nogil:
        return (<walk_t*>self._walk).unreadable

    cdef const uint8_t* output(self) noexcept nogil:
        return (<walk_t*>self._walk).output.data

    cdef Py_ssize_t output_size(self) noexcept nogil:
        return (<walk_t*>self._walk).output.length

    cdef void take_output(self) noexcept:
        cdef walk_t* walk = <walk_t*>self._walk
        walk.output.data = spare.data
        walk.output.room = spare.room
        spare.data = NULL
        spare.room = 0

    cdef void give_output(self) noexcept:
        cdef walk_t* walk = <walk_t*>self._walk
        if spare.data == NULL and walk.output.room <= SPARE_ROOM:
            spare.data = walk.output.data
            spare.room = walk.output.room
        else:
            free(walk.output.data)
        walk.output.data = NULL
        walk.output.room = walk.output.length = 0
        trim(&walk.inputs)
        trim(&walk.lengths)
        trim(&walk.failures)


cdef void trim(arena_t* arena) noexcept:
    """Frees what one odd batch made large: runs are kept for each topic's masks, and no budget counts them."""
    if arena.room > KEPT_ROOM:
        free(arena.data)
        arena.data = NULL
        arena.room = arena.length = 0


cdef MaskRun make_run(JsonMasker masker):
    cdef MaskRun run = MaskRun.__new__(MaskRun)
    cdef walk_t* walk = <walk_t*>allocate(1, sizeof(walk_t))
    begin_walk(walk, &masker.program.tables)
    run._walk = walk
    run._program = masker.program  # not the masker, which keeps the run: what is nobody's must go at once
    set_up(&walk.output, grow_by_realloc, 16384, masker.output_limit)
    allocate_for(walk)
    return run


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
