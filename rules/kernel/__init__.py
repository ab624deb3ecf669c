"""The compiled walk over the values of a batch.

`automaton.py` joins the paths of all rules of a topic, `jsonprogram.pyx` lays that out as tables, `jsonmask.pyx` walks
a batch by them (in C, the `json_*.h`). Leaves of masks that the walk does not know are collected (`collected.py`) and
masked by wiremask.rules.maskers, once for the batch; those masks use the kernel in turn, for what is in their texts.
"""
