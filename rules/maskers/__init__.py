"""The masks that are called once for a batch, on the leaves that the kernel collected.

`catalog.py` names the module of each.
"""
