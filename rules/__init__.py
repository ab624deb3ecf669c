"""Which field of which record changes, and how: texts, keys and values in, values out. No I/O, no logging.

Five words. A *rule* says which topics, which direction, which fields, which masks. A *selector* (a path) names fields.
A *mask* changes a leaf. A *plan* is a ruleset compiled, a snapshot that never changes. An *outcome* is what became of
a batch of values.

At load, in this order:

    nodes/          source.py: YAML text -> nodes that know their place; shape.py: nodes -> members, lists, texts, words
    language/       ruleset.py: files and rules -> the values of model/, or all that is wrong with them (errors.py)
    plan.py         rules -> Plan; per topic, records/ makes the maskers of value, key and headers, and kernel/ joins
                    the paths of all rules into one machine

For each batch:

    plan.for_client(client).match(topic, at) -> TopicPlan.mask_records(records) -> kernel/jsonmask.pyx walks the bytes
    (detect/ searches texts), the masks of maskers/ come after, once for the whole batch each -> outcome.py

Beside that, review/ judges rulesets without running them: compared, searched for what is not meant, held against
standards, explained. For who holds the keys, reveal.py turns the rules round.

Each imports those that stand behind it here, and none before it: language, review, reveal, plan, records, kernel and
maskers, model, nodes and detect, errors.

README.md beside this file is the reference of the language.
"""

from wiremask.rules.errors import KeyUnavailable, RuleError, RulesClash, RuleSetInvalid
from wiremask.rules.kernel.jsonmask import OUTPUT_LIMIT_BYTES
from wiremask.rules.keys import KeyReference
from wiremask.rules.language.ruleset import compile_ruleset
from wiremask.rules.model.condition import Claims, Client
from wiremask.rules.model.rule import Direction, Field, Rule
from wiremask.rules.outcome import Failure, Outcome, Reason
from wiremask.rules.plan import ClientPlan, Plan, TopicPlan

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
