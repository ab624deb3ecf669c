"""Makes what is derived of helm/wiremask/values.yaml: values.schema.json and the table of values in README.md.

Run by `make chart`; with --check it changes nothing and fails if something is not as it would be made. The schema of
`config` is that of the proxy's own configuration, so a chart with a mistyped key is refused before anything is applied.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from wiremask.proxy.config import Config
from wiremask.proxy.configschema import schema_of

CHART = Path(__file__).resolve().parent.parent / "helm" / "wiremask"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"

Json = dict[str, Any]

_TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"}
_QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
_RESOURCES: Json = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"requests": _QUANTITIES, "limits": _QUANTITIES},
}
_SCHEDULING: Json = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "nodeSelector": _TEXTS,
        "tolerations": {"type": "array", "items": {"type": "object"}},
        "affinity": {"type": "object"},
        "priorityClassName": {"type": "string"},
    },
}

SPECIAL: dict[str, Json] = {
    "commonLabels": _TEXTS,
    "imagePullSecrets": {"type": "array", "items": _NAME},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "rules.configMap": _NAME,
    "rules.files": {
        "type": "object",
        "propertyNames": {"pattern": "^[-._a-zA-Z0-9]+\\.ya?ml$"},
        "additionalProperties": {"type": "string"},
    },
    "rules.namespaces": {"type": "array", "items": _NAME},
    "proxy.resources": _RESOURCES,
    "proxy.env": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    "proxy.adminPort": {"type": "integer", "minimum": 1024, "maximum": 65535},
    "injector.replicas": {"type": "integer", "minimum": 1},
    "injector.timeoutSeconds": {"type": "integer", "minimum": 1, "maximum": 30},
    "injector.bootstrapVariables": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    },
    "injector.mayOptOut": {"type": "array", "items": {"type": "string", "pattern": "^[^/]+/[^/]+$"}},
    "injector.certificates.certManager": {"enum": ["auto", True, False]},
    "injector.certificates.caDays": {"type": "integer", "minimum": 1, "maximum": 3000},
    "injector.resources": _RESOURCES,
    "injector.scheduling": _SCHEDULING,
    "gateway.replicas": {"type": "integer", "minimum": 1},
    "gateway.nodes.first": {"type": "integer", "minimum": 0},
    "gateway.nodes.last": {"type": "integer", "minimum": 0},
    "gateway.service.type": {"enum": ["ClusterIP", "LoadBalancer", "NodePort"]},
    "gateway.service.annotations": _TEXTS,
    "gateway.scheduling": _SCHEDULING,
    "gateway.drainSeconds": {"type": "integer", "minimum": 1},
    "gateway.podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "gateway.networkPolicy.podLabels": _TEXTS,
    "gateway.networkPolicy.ports": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    "monitoring.serviceMonitor.labels": _TEXTS,
    "monitoring.prometheusRule.labels": _TEXTS,
    "monitoring.dashboard.labels": _TEXTS,
}
"""Values of which the default does not tell the type."""


def _where(path: str, schema: Json) -> Json:
    """A schema for the value at a dotted path, which must be there."""
    for step in reversed(path.split(".")):
        schema = {"type": "object", "required": [step], "properties": {step: schema}}
    return schema


_ON: Json = {"const": True}

CONDITIONS: list[Json] = [
    {
        "$comment": "whatever runs needs brokers",
        "if": {"anyOf": [_where("injector.enabled", _ON), _where("gateway.enabled", _ON)]},
        "then": _where("config.upstream.bootstrapServers", {"type": "array", "minItems": 1}),
    },
    {
        "$comment": "a second replica has not seen the metadata that taught the first where a node is",
        "if": {
            "allOf": [
                _where("gateway.enabled", _ON),
                {
                    "anyOf": [
                        _where("gateway.replicas", {"minimum": 2}),
                        _where("gateway.autoscaling.enabled", _ON),
                    ]
                },
            ]
        },
        "then": {
            "anyOf": [
                _where("config.upstream.nodePattern", {"type": "string", "minLength": 1}),
                _where("config.upstream.nodes", {"type": "object", "minProperties": 1}),
                _where("config.upstream.sasl", {"type": "object"}),
            ]
        },
    },
    {
        "$comment": "a policy needs to know the brokers",
        "if": _where("gateway.networkPolicy.enabled", _ON),
        "then": {
            "allOf": [
                _where("gateway.networkPolicy.namespace", {"minLength": 1}),
                _where("gateway.networkPolicy.podLabels", {"minProperties": 1}),
            ]
        },
    },
    {
        "$comment": "the API server must know the CA",
        "if": _where("injector.certificates.caSecret", {"minLength": 1}),
        "then": _where("injector.certificates.caBundle", {"minLength": 1}),
    },
    {
        "$comment": "rules are made from files",
        "if": _where("rules.create", _ON),
        "then": _where("rules.files", {"minProperties": 1}),
    },
]


def make_schema(values: Json, descriptions: dict[str, str]) -> Json:
    """The JSON Schema of the values."""
    config = schema_of(Config)
    definitions = config.pop("$defs", {})
    schema = _schema_of(values, "", descriptions, config)
    # Helm merges a parent chart's `global` into every subchart.
    schema["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "allOf": CONDITIONS,
        "definitions": json.loads(json.dumps(definitions).replace("#/$defs/", "#/definitions/")),
    }


def _schema_of(value: Any, path: str, descriptions: dict[str, str], config: Json) -> Json:
    described = {"description": descriptions[path]} if path in descriptions else {}
    if path == "config":
        return described | json.loads(json.dumps(config).replace("#/$defs/", "#/definitions/"))
    if path in SPECIAL:
        return described | SPECIAL[path]
    if isinstance(value, dict):
        properties = {
            name: _schema_of(inner, f"{path}.{name}".lstrip("."), descriptions, config) for name, inner in value.items()
        }
        return described | {"type": "object", "additionalProperties": False, "properties": properties}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return described | {"type": kinds[type(value)]}


def read_descriptions(text: str) -> dict[str, str]:
    """The comment above each key, by dotted path."""
    found: dict[str, str] = {}
    way: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# "):
            comment.append(stripped[2:])
        elif match := re.match(r"( *)([A-Za-z_]+):", line):
            indent = len(match[1])
            way = [step for step in way if step[0] < indent] + [(indent, match[2])]
            if comment:
                found[".".join(name for _, name in way)] = " ".join(comment)
            comment = []
        else:
            comment = []
    return found


def make_table(values: Json, descriptions: dict[str, str]) -> str:
    """The values as a table in Markdown."""
    rows = ["| value | default | |\n|---|---|---|\n"]

    def add(value: Any, path: str) -> None:
        is_open = path in SPECIAL or path == "config" or not isinstance(value, dict)
        if is_open or path in descriptions:
            default = f"`{json.dumps(value)}`" if is_open else ""
            rows.append(f"| `{path}` | {default} | {descriptions.get(path, '')} |\n")
        if not is_open:
            for name, inner in value.items():
                add(inner, f"{path}.{name}".lstrip("."))

    for name, value in values.items():
        add(value, name)
    return "".join(rows)


def main() -> int:
    """Makes both files, or with --check says whether they are as they would be made."""
    text = (CHART / "values.yaml").read_text("utf-8")
    values: Json = YAML(typ="safe", pure=True).load(text)
    descriptions = read_descriptions(text)
    readme = (CHART / "README.md").read_text("utf-8")
    head, rest = readme.split(BEGIN)
    tail = rest.split(END)[1]
    made = {
        "values.schema.json": json.dumps(make_schema(values, descriptions), indent=2) + "\n",
        "README.md": head + BEGIN + make_table(values, descriptions) + END + tail,
    }
    if "--check" in sys.argv:
        stale = [name for name, content in made.items() if (CHART / name).read_text("utf-8") != content]
        for name in stale:
            sys.stderr.write(f"helm/wiremask/{name} is not what its sources say; run `make chart`\n")
        return len(stale)
    for name, content in made.items():
        (CHART / name).write_text(content, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
