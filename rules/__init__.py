"""Which field of which record changes, and how: texts, keys and values in, values out. No I/O, no logging.

Five words. A *rule* says which topics, which direction, which fields, which masks. A *selector* (a path) names fields.
A *mask* changes a leaf. A *plan* is a ruleset compiled, a snapshot that never changes. An *outcome* is what became of
a batch of values.

At load, in this order:

    source.py       YAML text -> nodes that know their place
    shape.py        nodes -> members, lists, texts, words; what does not fit is recorded in errors.py
    language.py     files and rules, with keyring.py (keys.py), topics.py and fields.py (selector.py, maskwords.py
                    and what it names, idempotence.py), condition.py; out come rule.py's values
    ruletests.py    the tests that rules carry
    plan.py         rules -> Plan; per topic, formats.py makes the masker of its format, and automaton.py joins the
                    paths of all its rules into one machine

For each batch:

    plan.for_client(client).match(topic, at) -> TopicPlan.mask(buffer, spans) -> jsonmask.pyx walks the bytes,
    the masks of maskers.py come after, once for the whole batch each -> outcome.py

Beside that, acts.py (reach.py, strength.py) lays a ruleset out flat: compare.py compares two, findings.py finds what is
probably not meant. attribution.py asks the kernel what decides each leaf of a value.

For who holds the keys, reveal.py turns the rules round.

README.md beside this file is the reference of the language.
"""

from wiremask.rules.condition import Claims, Client
from wiremask.rules.errors import KeyUnavailable, RuleError, RulesClash, RuleSetInvalid
from wiremask.rules.jsonmask import OUTPUT_LIMIT_BYTES
from wiremask.rules.keys import KeyReference
from wiremask.rules.language import compile_ruleset
from wiremask.rules.outcome import Failure, Outcome, Reason
from wiremask.rules.plan import ClientPlan, Plan, TopicPlan
from wiremask.rules.rule import Direction, Field, Rule

__all__ = [
    "OUTPUT_LIMIT_BYTES",
    "Claims",
    "Client",
    "ClientPlan",
    "Direction",
    "Failure",
    "Field",
    "KeyReference",
    "KeyUnavailable",
    "Outcome",
    "Plan",
    "Reason",
    "Rule",
    "RuleError",
    "RuleSetInvalid",
    "RulesClash",
    "TopicPlan",
    "compile_ruleset",
]
