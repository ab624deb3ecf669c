"""The records of a batch and their parts (value, key, headers): the masker of each, and what becomes of the record."""
