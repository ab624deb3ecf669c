# cython: language_level=3, boundscheck=False, wraparound=False
"""The automaton of some selections as the flat tables that a walk reads (`json_program.h`).

Made once, at load; all checks of arguments that the kernel relies on are here.
"""

from array import array as new_array
from json.encoder import encode_basestring as quote

from wiremask.rules.maskers import collect
from wiremask.rules.masks import REDACTED, Drop, Fixed, Hash, Nullify, Partial, Pattern, Redact, Truncate

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from wiremask.rules.json_kernel cimport (
    FAULT_NONE,
    HASH_BASE64URL,
    HASH_CROCKFORD,
    HASH_HEX,
    MASK_COLLECTED,
    MASK_DROP,
    MASK_FIXED,
    MASK_HASH,
    MASK_NULLIFY,
    MASK_PARTIAL,
    MASK_PATTERN,
    MASK_REDACT,
    MASK_TRUNCATE,
    NO_NAME,
    action_t,
    element_t,
    frame_t,
    hash_name,
    hmac_set_up,
    piece_t,
    program_t,
    sha256_choose,
    slot_t,
    state_t,
    walk_t,
    walk_value,
)

sha256_choose(False)
cdef dict HASHES = {"hex": (HASH_HEX, 64), "base64url": (HASH_BASE64URL, 43), "crockford": (HASH_CROCKFORD, 52)}


cdef class Program:
    """The tables, and the memory that they are in. Never changed once they are made.

    Attributes:
        tables: what a walk reads.
        collected: the masks that `action_t.collected` counts in.
    """

    def __dealloc__(self):
        free(self.tables.states)
        free(self.tables.slots)
        free(self.tables.elements)
        free(self.tables.actions)
        free(self.tables.pool)

    cdef int set_actions(self, tuple actions, bytearray pool, str topic) except -1:
        cdef action_t* to = <action_t*>allocate(len(actions), sizeof(action_t))
        self.tables.actions = to
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

    cdef int set_states(self, tuple states, bytearray pool) except -1:
        cdef state_t* to = <state_t*>allocate(len(states), sizeof(state_t))
        cdef slot_t* slot
        cdef element_t* element
        cdef uint32_t i, slots_count = 0
        cdef bytes name
        self.tables.states = to
        sizes = [slots_for(len(state.names)) for state in states]
        slot = self.tables.slots = <slot_t*>allocate(sum(sizes), sizeof(slot_t))
        for i in range(sum(sizes)):
            slot[i].name.at = NO_NAME
        element = self.tables.elements = <element_t*>allocate(sum(len(s.indexes) for s in states), sizeof(element_t))
        pieces = {}
        for state, size in zip(states, sizes):
            to.action = -1 if state.action is None else state.action
            to.fallback = state.fallback
            to.slots = slots_count
            to.slots_mask = size - 1 if size else 0
            to.elements = element - self.tables.elements
            to.elements_count = len(state.indexes)
            for index, target in sorted(state.indexes.items()):
                element.index = index
                element.target = target
                element += 1
            for name, target in state.names.items():
                if name not in pieces:
                    pieces[name] = add_piece(pool, name)
                put_name(slot + slots_count, to, name, pieces[name], target)
                self.tables.name_limit = max(self.tables.name_limit, len(name))
            slots_count += size
            to += 1
        return 0


cdef Program build_program(automaton, rules, depth_limit, redact_unreadable, bytes marker, str topic):
    """The program that masks.

    Raises:
        ValueError: an argument is impossible.
    """
    cdef Program program = Program.__new__(Program)
    if not 1 <= depth_limit <= 0xFFFF:
        raise ValueError("depth_limit is from 1 to 65535")
    if not is_json(marker):
        raise ValueError("the marker is not valid JSON")
    pool = bytearray()
    program.tables.rules = rules
    program.tables.depth_limit = depth_limit
    program.tables.redact_unreadable = redact_unreadable
    program.tables.start = automaton.start
    program.tables.marker = add_piece(pool, marker)
    program.tables.redacted = add_piece(pool, encode_string(REDACTED))
    program.tables.zero = add_piece(pool, b"0")
    program.tables.no = add_piece(pool, b"false")
    program.set_actions(automaton.actions, pool, topic)
    program.set_states(automaton.states, pool)
    program.tables.pool = <uint8_t*>allocate(len(pool), 1)
    memcpy(program.tables.pool, PyBytes_AS_STRING(bytes(pool)), len(pool))
    return program


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
