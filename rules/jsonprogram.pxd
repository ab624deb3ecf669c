# cython: language_level=3
"""A compiled program, for the modules that run one."""

from wiremask.rules.json_kernel cimport program_t


cdef class Program:
    cdef program_t tables
    cdef tuple collected

    cdef int set_actions(self, tuple actions, bytearray pool, str topic) except -1
    cdef int set_states(self, tuple states, bytearray pool) except -1


cdef Program build_program(automaton, rules, depth_limit, redact_unreadable, bytes marker, str topic)
cdef void* allocate(size_t count, size_t size) except NULL
cdef bytes encode_string(str text)
