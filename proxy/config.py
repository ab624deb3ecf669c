"""The whole configuration: composes the sections that the components own, and checks what no section can see alone."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from wiremask.proxy.admin import AdminConfig
from wiremask.proxy.configfile import ConfigError, KeyPath, Written, put, read_environment, read_file
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.listener import ListenerConfig
from wiremask.proxy.log import LogConfig
from wiremask.proxy.model import DEFAULTS, Section
from wiremask.proxy.reload import RulesConfig
from wiremask.proxy.upstream import UpstreamConfig
from wiremask.rules.nodes.shape import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from wiremask.proxy.address import Address

__all__ = ["Config", "ConfigError", "ConfigInvalid", "load", "load_as", "render"]

S = TypeVar("S", bound=Section)

_EVERY_HOST = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ConfigInvalid(Exception):
    """A configuration that cannot be used; `errors` has every fault that was found."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__(errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class Config(Section):
    """The configuration of one process."""

    upstream: UpstreamConfig = DEFAULTS
    listeners: tuple[ListenerConfig, ...] = Field(default=(DEFAULTS,), min_length=1)
    rules: RulesConfig = DEFAULTS
    limits: LimitsConfig = DEFAULTS
    admin: AdminConfig = DEFAULTS
    log: LogConfig = DEFAULTS

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        conflicts = list(_conflicts(self))
        if conflicts:
            text = "; ".join(message for _, message in conflicts)
            raise PydanticCustomError("conflict", "{text}", {"text": text, "conflicts": conflicts})
        return self


def load(
    path: Path | None = None,
    env: Mapping[str, str] = os.environ,
    options: Mapping[KeyPath, tuple[str, object]] | None = None,
) -> Config:
    """Reads and checks the configuration.

    Args:
        path: a YAML file; none is needed.
        env: `WIREMASK_<SECTION>__<KEY>` overrides single values (see `configfile`).
        options: values from the command line by path, each with the option's name for errors.

    Raises:
        ConfigInvalid: with every fault.
    """
    return load_as(Config, path, env, options)


def load_as(
    model: type[S],
    path: Path | None = None,
    env: Mapping[str, str] = os.environ,
    options: Mapping[KeyPath, tuple[str, object]] | None = None,
) -> S:
    """Reads and checks a configuration of another model, in the same way.

    Raises:
        ConfigInvalid: with every fault.
    """
    written = Written()
    if path is not None:
        read_file(written, path, model)
    read_environment(written, env, model)
    for target, (option, value) in (options or {}).items():
        put(written, target, value, f"option {option}")
    if written.errors:
        raise ConfigInvalid(written.errors)
    try:
        # By the names of the file alone: `frame_bytes` is Python's name for it, and a second spelling is one too many.
        return model.model_validate(written.tree, by_alias=True, by_name=False)
    except ValidationError as invalid:
        errors = [error for details in invalid.errors(include_url=False) for error in _faults(details, written, model)]
        raise ConfigInvalid(errors) from None


def render(config: Config) -> str:
    """The effective configuration with its defaults, as a YAML file that `load` reads back to the same."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only `wiremask config` writes YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = io.StringIO()
    writer.dump(config.model_dump(mode="json", by_alias=True), out)
    return out.getvalue()


def _conflicts(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """What two settings cannot both have."""
    limits = config.limits
    if limits.buffered_bytes < 2 * limits.frame_bytes:
        yield (
            ("limits", "bufferedBytes"),
            f"a frame may have {limits.frame_bytes} bytes (frameBytes); write at least {2 * limits.frame_bytes}",
        )
    seen: dict[str, int] = {}
    for place, listener in enumerate(config.listeners):
        where: KeyPath = ("listeners", place)
        if listener.name in seen:
            yield (*where, "name"), f"listener {seen[listener.name]} has this name already; give each its own"
        seen.setdefault(listener.name, place)
        for before, other in enumerate(config.listeners[:place]):
            shared = range(max(listener.ports[0], other.ports[0]), min(listener.ports[-1], other.ports[-1]) + 1)
            if shared and _may_be_same_host(listener.address.host, other.address.host):
                yield (
                    (*where, "address"),
                    (
                        f"port {shared[0]} is also one of listener {before}: it takes its own port and one for each "
                        f"node, {listener.ports[0]} to {listener.ports[-1]} here; move one or serve fewer"
                    ),
                )
        if listener.sasl.required and not listener.sasl.mechanisms and config.upstream.sasl is not None:
            yield (
                (*where, "sasl", "required"),
                "no login of a client passes where the proxy logs in (upstream.sasl); write sasl.mechanisms",
            )
        if config.admin.address.port in listener.ports and _may_be_same_host(
            config.admin.address.host, listener.address.host
        ):
            yield (
                ("admin", "address"),
                (
                    f"port {config.admin.address.port} is one of listener {place}, which takes {listener.ports[0]} to "
                    f"{listener.ports[-1]}; write another port"
                ),
            )
        for number, server in enumerate(config.upstream.bootstrap_servers):
            if _leads_to(server, listener):
                yield (
                    ("upstream", "bootstrapServers", number),
                    (
                        f"this is the proxy's own listener {place}; write the address of a Kafka broker "
                        "(upstream.bootstrapServers, or --upstream), or move the listener"
                    ),
                )


def _may_be_same_host(one: str, other: str) -> bool:
    if one == other or one in _EVERY_HOST or other in _EVERY_HOST:
        return True
    return "localhost" in {one, other} and {one, other} <= _LOOPBACK


def _leads_to(server: Address, listener: ListenerConfig) -> bool:
    if server.port not in listener.ports:
        return False
    bound = listener.address.host
    is_here = server.host in _LOOPBACK | _EVERY_HOST
    return server.host == bound or (is_here and (bound in _EVERY_HOST or _may_be_same_host(server.host, bound)))


def _faults(details: ErrorDetails, written: Written, model: type[Section]) -> Iterator[ConfigError]:
    """An error of pydantic's, at the place that it is about and in words that say what to write."""
    context: dict[str, Any] = details.get("ctx", {})
    if details["type"] == "conflict":
        for where, message in context["conflicts"]:
            yield ConfigError(place=written.place(where), message=f"{_dotted(where)}: {message}")
        return
    if details["type"] == "too_short" and details["input"]:
        return  # its entries are invalid, and each says so itself
    path: KeyPath = details["loc"]
    if path and path[-1] == "[key]":
        path = path[:-1]
        yield ConfigError(place=written.keys.get(path, written.place(path)), message=f"{_dotted(path)}: not a node id")
        return
    if details["type"] == "extra_forbidden":
        place = written.keys.get(path, written.place(path))
        advice = suggest(str(path[-1]), _keys_beside(model, path))
        yield ConfigError(place=place, message=f"{_dotted(path)}: there is no such key; {advice}")
        return
    said = _SAID.get(details["type"])
    # A limit of 10.0 is written as 10.
    limits = {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in context.items()}
    message = said.format(**limits) if said else details["msg"]
    if details["type"] == "value_error":
        message = str(context["error"])
    yield ConfigError(place=written.place(path), message=f"{_dotted(path)}: {message}" if path else message)


_WHOLE, _NUMBER, _BOOLEAN = "write a whole number", "write a number", "write true or false"
_LIST, _MAPPING = "write a list: [...]", "write a mapping: {{...}}"

_SAID = {
    "missing": "it must be set",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "string_type": "write a text; quote it if it looks like a number",
    "string_too_short": "write at least {min_length} character(s)",
    "path_type": "write the path of a file or directory",
    "literal_error": "write {expected}",
    "greater_than": "write a number above {gt}",
    "greater_than_equal": "write a number of at least {ge}",
    "less_than": "write a number below {lt}",
    "less_than_equal": "write a number of at most {le}",
    "too_short": "write at least {min_length} entry",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
}
"""Pydantic's kinds of error in the words of someone who writes the file; the kinds that are left keep its own."""


def _keys_beside(model: type[Section], path: KeyPath) -> list[str]:
    """The keys that the mapping which holds `path` may have."""
    section: Any = model
    for step in path[:-1]:
        if isinstance(step, int):
            continue
        info = next(info for name, info in section.model_fields.items() if (info.alias or name) == step)
        section = _section_in(info.annotation)
    return [info.alias or name for name, info in section.model_fields.items()]


def _section_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, getattr(annotation, "__args__", ()))), None)


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
