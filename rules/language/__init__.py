"""Rule files read: texts in, rules and everything that is wrong with them out.

`ruleset.py` is the way in; `fields.py`, `headerfields.py`, `maskwords.py`, `detectwords.py`, `recordwords.py` and
`keyring.py` read what it meets. `schema.py` tells the same grammar to editors; `connect.py` makes rule files of Kafka
Connect's transforms.
"""
