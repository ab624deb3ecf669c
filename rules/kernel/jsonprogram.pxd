# cython: language_level=3
"""A compiled program, for the modules that run one."""

from libc.stdint cimport uint32_t

from wiremask.rules.kernel.json_kernel cimport program_t


cdef class Program:
    cdef program_t tables
    cdef tuple collected
    cdef size_t action_count

    cdef int set_actions(self, tuple actions, dict choices, bytearray pool, str topic) except -1
    cdef int set_searches(self, list searches, tuple actions) except -1
    cdef int set_states(self, tuple states, dict choices, bytearray pool) except -1
    cdef int take(self, Layout layout) except -1


cdef class Layout:
    cdef bytearray pool
    cdef dict pieces
    cdef list slots, elements, slices, picks, targets, cased

    cdef tuple place_names(self, names)
    cdef tuple place_elements(self, targets)
    cdef uint32_t place_picks(self, picks) except? 0
    cdef uint32_t place_row(self, tuple targets) except? 0


cdef Program build_program(automaton, rules, conditions, depth_limit, redact_unreadable, bytes marker, str topic)
cdef void* allocate(size_t count, size_t size) except NULL
cdef bytes encode_string(str text)
