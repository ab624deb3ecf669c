"""The base of every configuration section, and the scalar types that sections share.

A component declares its own section beside itself; `wiremask.proxy.config` only composes them. A field
`frame_bytes` is written `frameBytes` in YAML and `WIREMASK_<SECTION>__FRAME_BYTES` in the environment.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

__all__ = ["DEFAULTS", "ByteCount", "Count", "Port", "Seconds", "Section"]

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
"""A duration: more than zero, at most a week."""

ByteCount = Annotated[int, Field(gt=0, le=1 << 40)]
"""A number of bytes: more than zero, at most a tebibyte."""

Count = Annotated[int, Field(gt=0, le=1 << 31)]
"""A number of things: more than zero."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port that can be named in an address; 0, "any free one", is not one of them."""


DEFAULTS: Any = {}
"""The default of a section that may be left out: one without any key, made by the section that holds it."""


class Section(BaseModel):
    """One section of the configuration: immutable, unknown keys refused, camelCase in YAML."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
        hide_input_in_errors=True,
        # Built when the first one is made, inside the section that holds it: by itself it need not be.
        defer_build=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, field: ValidationInfo) -> object:
        """Python counts true as 1; nobody who writes `connections: true` means one connection."""
        if isinstance(value, bool) and cls.model_fields[str(field.field_name)].annotation is not bool:
            raise ValueError("true and false are no value here")
        return value
