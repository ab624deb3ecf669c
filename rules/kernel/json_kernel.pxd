# cython: language_level=3
"""The C side of the JSON kernel, as its Cython modules see it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "../detect/find_list.h" nogil:
    enum:
        FIND_KINDS
    ctypedef struct find_t:
        pass
    ctypedef struct finds_t:
        find_t* items


cdef extern from "../detect/find_tables.h" nogil:
    pass


cdef extern from "../detect/find_text.h" nogil:
    pass


cdef extern from "../detect/find_numbers.h" nogil:
    pass


cdef extern from "../detect/find_network.h" nogil:
    pass


cdef extern from "../detect/find_secrets.h" nogil:
    pass


cdef extern from "../detect/find_scan.h" nogil:
    pass


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
    void hmac_clear(hmac_t* hmac)


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
        MASK_SEARCH
        MASK_KEEP
        MASK_CHOICE
        MASK_TEST
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
        uint8_t hides_ends
        uint64_t separators[2]
        piece_t wide_separators
        hmac_t hmac
        hash_form_t hash_form
        uint32_t hash_length, collected, search
        int32_t when
        uint32_t choices, choices_count
    ctypedef struct found_t:
        uint32_t kinds, action
        int32_t when
    ctypedef struct search_t:
        uint32_t founds, founds_count, wanted
        uint32_t* ranks
        uint8_t conditional, patterns
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
    ctypedef struct slice_t:
        int64_t start, end, step
        uint32_t group
    ctypedef struct picks_t:
        uint32_t slices, slices_count, rows, rows_count, row
    ctypedef struct cased_t:
        uint32_t slots, slots_mask, folded, folded_mask
    ctypedef struct fold_t:
        uint32_t code, folded
    ctypedef struct program_t:
        state_t* states
        slot_t* slots
        element_t* elements
        slice_t* slices
        picks_t* picks
        uint32_t* targets
        cased_t* cased
        fold_t* folds
        action_t* actions
        found_t* founds
        search_t* searches
        uint32_t* choices
        uint8_t* pool
        uint32_t folds_count, start, rules, conditions, depth_limit, name_limit, fold_limit
        uint8_t counts, redact_unreadable
        piece_t marker, redacted, zero, no

    uint32_t NO_NAME
    uint32_t NO_SEARCH
    uint32_t CASED
    uint32_t PICKED
    int64_t NO_BOUND
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
        LEAF_SPAN
    ctypedef struct job_t:
        uint32_t input, input_length, source, source_length, output, action, value
        leaf_t leaf
        uint32_t name_length, acting
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
        arena_t output, inputs, jobs, tallies, failures, lengths
        frame_t* frames
        uint8_t* name
        uint8_t* folded
        uint8_t* findings
        int64_t* masked
        int64_t* pending
        uint32_t* touched
        const uint8_t* suspects
        finds_t finds
        int64_t changed, unreadable
        int32_t marker

    int grow_by_realloc(arena_t* arena, size_t room)
    fault_t reserve(arena_t* arena, size_t more)


cdef extern from "json_search.h" nogil:
    pass


cdef extern from "json_walk.h" nogil:
    fault_t walk_value(walk_t* walk, const uint8_t* begin, const uint8_t* end)
    fault_t mask_batch(
        walk_t* walk, const uint8_t* buffer, const int32_t* values, const uint8_t* conditions, size_t count, int32_t* spans
    )
