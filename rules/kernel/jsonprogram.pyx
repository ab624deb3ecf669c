# cython: language_level=3, boundscheck=False, wraparound=False
"""The automaton of some selections as the flat tables that a walk reads (`json_program.h`).

Made once, at load; all checks of arguments that the kernel relies on are here.
"""

from array import array as new_array
from json.encoder import encode_basestring as quote

from wiremask.rules.kernel.automaton import Action
from wiremask.rules.model.casefold import folds
from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.maskers.catalog import collect
from wiremask.rules.model.masks import (
    REDACTED,
    Drop,
    Fixed,
    Hash,
    Keep,
    Nullify,
    OneOf,
    Partial,
    Pattern,
    Redact,
    Search,
    Truncate,
)

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from wiremask.rules.kernel.json_kernel cimport (
    CASED,
    FIND_KINDS,
    FAULT_NONE,
    HASH_BASE64URL,
    HASH_CROCKFORD,
    HASH_HEX,
    MASK_CHOICE,
    MASK_COLLECTED,
    MASK_DROP,
    MASK_FIXED,
    MASK_HASH,
    MASK_KEEP,
    MASK_NULLIFY,
    MASK_PARTIAL,
    MASK_PATTERN,
    MASK_REDACT,
    MASK_SEARCH,
    MASK_TEST,
    MASK_TRUNCATE,
    NO_BOUND,
    NO_NAME,
    NO_SEARCH,
    PICKED,
    action_t,
    cased_t,
    element_t,
    fold_t,
    found_t,
    frame_t,
    hash_name,
    hmac_clear,
    hmac_set_up,
    picks_t,
    piece_t,
    program_t,
    search_t,
    sha256_choose,
    slice_t,
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
        action_count: how many of `tables.actions` there are; each may hold a key.
    """

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.action_count):
            hmac_clear(&self.tables.actions[i].hmac)
        free(self.tables.states)
        free(self.tables.slots)
        free(self.tables.elements)
        free(self.tables.slices)
        free(self.tables.picks)
        free(self.tables.targets)
        free(self.tables.cased)
        free(self.tables.folds)
        free(self.tables.choices)
        free(self.tables.founds)
        free(self.tables.searches)
        free(self.tables.actions)
        free(self.tables.pool)

    cdef int set_actions(self, tuple actions, dict choices, bytearray pool, str topic) except -1:
        cdef action_t* to = <action_t*>allocate(len(actions) + len(choices), sizeof(action_t))
        self.tables.actions = to
        self.action_count = len(actions) + len(choices)
        collected = []
        searches = [action.mask for action in actions if isinstance(action.mask, Search)]
        self.set_searches(searches, actions)
        for action in actions:
            mask = action.mask
            to.whole = action.whole
            to.rule = action.rule
            to.redact_unmaskable = action.on_unmaskable == "redact"
            to.when = -1 if action.when is None else action.when
            to.search = searches.index(mask) if isinstance(mask, Search) else NO_SEARCH
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
            elif isinstance(mask, Keep):
                to.kind = MASK_KEEP
            elif isinstance(mask, OneOf):
                to.kind = MASK_TEST
                to.text = add_piece(pool, literals_of(mask))
                to.keep_first = bool(mask.strings) | bool(mask.numbers) << 1 | bool(mask.booleans) << 2
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
                ready = collect(
                    mask, topic, depth_limit=self.tables.depth_limit, on_unmaskable=action.on_unmaskable
                )
                to.takes_numbers = ready.takes_numbers
                collected.append(ready)
                if isinstance(mask, Search) and mask.then is None:
                    to.kind = MASK_SEARCH
            to += 1
        self.collected = tuple(collected)
        numbers = []
        for maybe, last in choices:
            to.kind = MASK_CHOICE
            to.choices = len(numbers)
            numbers += maybe if last is None else (*maybe, last)
            to.choices_count = len(numbers) - to.choices
            to += 1
        self.tables.choices = copy_numbers(numbers)
        return 0

    cdef int set_searches(self, list searches, tuple actions) except -1:
        """What each search looks for; each find's own action is among the actions."""
        cdef search_t* to = <search_t*>allocate(len(searches), sizeof(search_t))
        cdef found_t* found = <found_t*>allocate(sum(len(search.finds) for search in searches), sizeof(found_t))
        cdef uint32_t kind, position
        self.tables.searches = to
        self.tables.founds = found
        for search in searches:
            to.founds = found - self.tables.founds
            to.founds_count = len(search.finds)
            for position, one in enumerate(search.finds):
                found.action = actions.index(action_of_find(one))
                found.when = -1 if one.when is None else one.when
                to.conditional |= one.when is not None
                for detector in one.detect:
                    if not isinstance(detector, str):
                        to.patterns = True
                        continue
                    kind = DETECTORS.index(detector)
                    found.kinds |= (<uint32_t>1) << kind
                    if not to.wanted >> kind & 1:
                        to.ranks[kind] = position
                    to.wanted |= (<uint32_t>1) << kind
                found += 1
            to += 1
        return 0

    cdef int set_states(self, tuple states, dict choices, bytearray pool) except -1:
        cdef Layout layout = Layout(pool)
        cdef state_t* to = <state_t*>allocate(len(states), sizeof(state_t))
        self.tables.states = to
        for state in states:
            to.fallback = state.fallback
            to.action = action_of(state, choices)
            if state.folded:
                to.slots = len(layout.cased)
                to.slots_mask = CASED
                to.lengths = ~<uint64_t>0
                layout.cased.append((*layout.place_names(state.names), *layout.place_names(state.folded)))
                # Folded, the longest character of a name shrinks to a third, and the shortest grow by a half.
                self.tables.name_limit = max(self.tables.name_limit, 3 * max(map(len, state.folded)))
                self.tables.fold_limit = max(self.tables.fold_limit, max(map(len, state.folded)))
            elif state.names:
                to.slots, to.slots_mask = layout.place_names(state.names)
                for name in state.names:
                    to.lengths |= (<uint64_t>1) << min(<size_t>len(name), <size_t>63)
            for name in state.names:
                self.tables.name_limit = max(self.tables.name_limit, len(name))
            if state.picks is None:
                to.elements, to.elements_count = layout.place_elements(state.indexes)
            else:
                to.elements = layout.place_picks(state.picks)
                to.elements_count = PICKED
                self.tables.counts |= any(counts_from_the_end(one) for group in state.picks.slices for one in group)
            to += 1
        self.take(layout)
        return 0

    cdef int take(self, Layout layout) except -1:
        """Copies what was laid out."""
        cdef size_t i
        cdef int64_t bound
        self.tables.slots = <slot_t*>allocate(len(layout.slots), sizeof(slot_t))
        for i, slot in enumerate(layout.slots):
            self.tables.slots[i].name.at = NO_NAME
            if slot is not None:
                self.tables.slots[i] = slot_t(slot[0], slot[1], piece_t(slot[2], slot[3]))
        self.tables.elements = <element_t*>allocate(len(layout.elements), sizeof(element_t))
        for i, element in enumerate(layout.elements):
            self.tables.elements[i] = element_t(element[0], element[1])
        self.tables.slices = <slice_t*>allocate(len(layout.slices), sizeof(slice_t))
        for i, (group, one) in enumerate(layout.slices):
            self.tables.slices[i] = slice_t(
                NO_BOUND if one.start is None else <int64_t>one.start,
                NO_BOUND if one.end is None else <int64_t>one.end,
                one.step,
                group,
            )
        self.tables.picks = <picks_t*>allocate(len(layout.picks), sizeof(picks_t))
        for i, picks in enumerate(layout.picks):
            self.tables.picks[i] = picks_t(picks[0], picks[1], picks[2], picks[3], picks[4])
        self.tables.cased = <cased_t*>allocate(len(layout.cased), sizeof(cased_t))
        for i, cased in enumerate(layout.cased):
            self.tables.cased[i] = cased_t(cased[0], cased[1], cased[2], cased[3])
        if layout.cased:
            self.tables.folds_count = len(folds())
            self.tables.folds = <fold_t*>allocate(len(folds()), sizeof(fold_t))
            for i, (code, folded) in enumerate(folds()):
                self.tables.folds[i] = fold_t(code, folded)
        self.tables.targets = copy_numbers(layout.targets)
        return 0


cdef class Layout:
    """The tables that states share, as lists: what a state needs is placed behind what others have placed."""

    def __init__(self, bytearray pool):
        self.pool = pool
        self.pieces = {}
        self.slots, self.elements, self.slices, self.picks = [], [], [], []
        self.targets, self.cased = [], []

    cdef tuple place_names(self, names):
        """The first slot of a table of names, and the number of its slots less one."""
        cdef uint32_t first = len(self.slots), size = 2, hash, at
        cdef const uint8_t* begin
        cdef bytes name
        cdef piece_t piece
        while size < 2 * len(names):
            size *= 2
        self.slots += [None] * size
        for name, target in names.items():
            if name not in self.pieces:
                piece = add_piece(self.pool, name)
                self.pieces[name] = (piece.at, piece.length)
            begin = <const uint8_t*>PyBytes_AS_STRING(name)
            hash = hash_name(begin, len(name), begin + len(name))
            at = hash & (size - 1)
            while self.slots[first + at] is not None:
                at = (at + 1) & (size - 1)
            self.slots[first + at] = (hash, target, *self.pieces[name])
        return first, size - 1

    cdef tuple place_elements(self, targets):
        """The first of some elements, and their number."""
        first = len(self.elements)
        self.elements += sorted(targets.items())
        return first, len(targets)

    cdef uint32_t place_picks(self, picks) except? 0:
        first = len(self.slices)
        self.slices += [(group, one) for group, slices in enumerate(picks.slices) for one in slices]
        row = self.place_row(picks.by_group)
        rows = self.place_elements({index: self.place_row(targets) for index, targets in picks.by_index.items()})
        self.picks.append((first, len(self.slices) - first, *rows, row))
        return len(self.picks) - 1

    cdef uint32_t place_row(self, tuple targets) except? 0:
        self.targets += targets
        return len(self.targets) - len(targets)


cdef Program build_program(automaton, rules, conditions, depth_limit, redact_unreadable, bytes marker, str topic):
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
    program.tables.conditions = conditions
    finds = [found for action in automaton.actions if isinstance(action.mask, Search) for found in action.mask.finds]
    actions = tuple(dict.fromkeys([*automaton.actions, *map(action_of_find, finds)]))
    combinations = dict.fromkeys((state.maybe, state.action) for state in automaton.states if state.maybe)
    choices = {choice: len(actions) + number for number, choice in enumerate(combinations)}
    program.set_actions(actions, choices, pool, topic)
    program.set_states(automaton.states, choices, pool)
    program.tables.pool = <uint8_t*>allocate(len(pool), 1)
    memcpy(program.tables.pool, PyBytes_AS_STRING(bytes(pool)), len(pool))
    return program


def action_of_find(found):
    """What is done to what a find finds."""
    return Action(mask=found.mask, rule=found.rule, on_unmaskable=found.on_unmaskable, when=found.when)


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
    cdef bint hides_ends = mask.hides_ends
    first, last = (mask.hide_first, mask.hide_last) if hides_ends else (mask.keep_first, mask.keep_last)
    if first < 0 or last < 0:
        raise ValueError("partial keeps or hides no less than 0 characters")
    if hides_ends and (mask.keep_first or mask.keep_last or mask.fixed_length):
        raise ValueError("partial keeps ends or hides them")
    if not 0 <= mask.fixed_length <= 0xFFFF:
        raise ValueError("partial hides by 0 to 65535 characters")
    to.kind = MASK_PARTIAL
    to.fixed_length = mask.fixed_length
    to.takes_numbers = mask.as_string
    to.hides_ends = hides_ends
    to.keep_first = min(first, 0x7FFFFFFF)
    to.keep_last = min(last, 0x7FFFFFFF)
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


cdef bytes literals_of(mask):
    """The literals of a test: see json_program.h."""
    cdef uint32_t size
    cdef bytearray written = bytearray()
    for kind, literals in ((1, mask.strings), (2, mask.numbers), (4, mask.booleans)):
        for literal in literals:
            text = literal.encode()
            size = len(text)
            written += bytes([kind]) + (<const char*>&size)[:sizeof(size)] + text
    return bytes(written)


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


cdef uint32_t* copy_numbers(list numbers) except NULL:
    cdef uint32_t* copied = <uint32_t*>allocate(len(numbers), sizeof(uint32_t))
    cdef size_t i
    for i, number in enumerate(numbers):
        copied[i] = number
    return copied


cdef object action_of(state, dict choices):
    """The number of the action that a state has in the tables; -1 for none."""
    if state.maybe:
        return choices[state.maybe, state.action]
    return -1 if state.action is None else state.action


cdef bint counts_from_the_end(one):
    """Whether a slice cannot be told without the length of the array."""
    return one.step < 0 or (one.start or 0) < 0 or (one.end or 0) < 0
