"""Values of MONAI's configuration files, without running what they hold.

MONAI evaluates every text that begins with `$` as Python. Here it may stand for a literal (`$[1.5, 1.5, 2]`,
`$None`) or another value (`$@pixdim`); anything else is refused where it is asked for, and what nobody asks
for is never looked at. `@a#b` and `@a::b` name the value b in a.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from model.importers.foreign_fields import Place, read_json
from model.model_errors import RefusedModelError

EXPRESSION, REFERENCE, MACRO = "$", "@", "%"
SEPARATOR = re.compile(r"#|::")
DEEPEST = 32
"""Values within values, or references to references; more go round in a circle."""
Plain = Any
"""Texts, numbers, truth values, None, and lists and mappings of these."""


@dataclass(frozen=True)
class ConfigValues:
    """A configuration, whose values are resolved when they are asked for."""

    document: Mapping[str, Any]
    where: str
    """The file, for messages."""

    def get(self, path: str, default: Plain = None) -> Plain:
        """The value at a path such as `network_def#channels`, with all that it refers to.

        Raises:
            RefusedModelError: it is an expression, or refers to what is not there.
        """
        return self.resolved(self.raw(path), path) if path in self else default

    def raw(self, path: str) -> Any:  # noqa: ANN401 - a document's values are of any type
        """What stands at a path, references and expressions as they are.

        Raises:
            RefusedModelError: nothing does.
        """
        value: Any = self.document
        for key in SEPARATOR.split(path):
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise RefusedModelError(f"{self.where}: {path} is missing") from error
        return value

    def __contains__(self, path: str) -> bool:
        try:
            self.raw(path)
        except RefusedModelError:
            return False
        return True

    def followed(self, value: Any, path: str) -> Any:  # noqa: ANN401 - see `raw`
        """A value, or what it refers to, whose own parts are not resolved.

        Raises:
            RefusedModelError: it is an expression, or refers to what is not there, or to itself.
        """
        for _ in range(DEEPEST):
            if not isinstance(value, str) or value[:1] not in (EXPRESSION, REFERENCE, MACRO):
                return value
            reference = value.removeprefix(EXPRESSION).strip()
            if value[0] != MACRO and re.fullmatch(r"@[\w#:]+", reference):
                if reference[1:] not in self:
                    raise RefusedModelError(f"{self.where}: {path} refers to {reference}, which is missing")
                value = self.raw(reference[1:])
            elif value[0] == EXPRESSION:
                return self._literal(value, path)
            else:
                raise RefusedModelError(f"{self.where}: {path} is {value!r}, which is not understood")
        raise RefusedModelError(f"{self.where}: {path} refers to itself")

    def resolved(self, value: Any, path: str, depth: int = 0) -> Plain:  # noqa: ANN401 - see `raw`
        """A value with all that it refers to.

        Raises:
            RefusedModelError: see `get`.
        """
        if depth > DEEPEST:
            raise RefusedModelError(f"{self.where}: {path} refers to itself")
        value = self.followed(value, path)
        if isinstance(value, Mapping):
            return {str(key): self.resolved(part, f"{path}#{key}", depth + 1) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolved(part, f"{path}#{index}", depth + 1) for index, part in enumerate(value)]
        if isinstance(value, str | int | float | None):
            return value
        raise RefusedModelError(f"{self.where}: {path} is {str(value)[:60]}, which is not understood")

    def _literal(self, text: str, path: str) -> Plain:
        try:
            found = ast.literal_eval(text[1:].strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise RefusedModelError(
                f"{self.where}: {path} is {text[:80]!r}, an expression, which is not run; "
                "write its value instead"
            ) from error
        if isinstance(found, str):
            # MONAI would evaluate it once more.
            raise RefusedModelError(f"{self.where}: {path} is {text[:80]!r}; write the text itself")
        return found


def read_config(place: Place) -> ConfigValues:
    """Read a JSON or YAML configuration.

    Raises:
        RefusedModelError: it cannot be read, or holds no mapping.
    """
    if place.name.endswith(".json"):
        return ConfigValues(read_json(place), str(place))
    try:
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise RefusedModelError(f"{place}: cannot be read as YAML ({reason})") from error
    if not isinstance(document, Mapping):
        raise RefusedModelError(f"{place}: must hold a mapping")
    return ConfigValues(document, str(place))
