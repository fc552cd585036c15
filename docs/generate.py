"""Write the reference pages of manifests, recipes and plans from the dataclasses that read them: `make docs`.

Types and defaults come from the classes, explanations from their docstrings and from the string under each
field, so that a page cannot say anything else than the program does. A test compares them.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model.schema import KIND, dump, kind_of, union_members

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE / "manifest-example.json"
WIDTH = 110

Hint = Any
"""A type annotation, for which Python has no narrower type."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: everything that a document may hold."""

    title: str
    introduction: str
    module: str
    root: str
    """Dataclass of the whole document, in `module`."""


PAGES = {
    "manifest.md": Page(
        title="The manifest of a bundle",
        introduction=(
            "Every field of `manifest.json`, version 2. A bundle is a folder with this file and the ONNX "
            "files that it names ([why](decisions/bundle-format.md)). Where a field takes one of several "
            "kinds, the mapping says which by its `kind`. Fields without a default are required; unknown "
            "fields are refused by name. Sizes, spacings and axes are in the order z, y, x.\n\n"
            "An ONNX file has one input, 1×inputs×window, and one output of logits, 1×channels×window, both "
            "float32, the window in the order of the network's `axes`; opset 9 to 24; all weights in the one "
            "file. The smallest manifest says what such a file cannot ([this one](manifest-example.json), "
            "with the file's own SHA-256):\n\n"
            "{example}"
        ),
        module="model.manifest.document",
        root="Manifest",
    ),
    "recipes.md": Page(
        title="Training recipes",
        introduction=(
            "Every field of a recipe, a YAML file in `training/recipes/` or of your own. Where a field takes "
            "one of several kinds, the mapping says which by its `kind`. Fields without a default are "
            "required; unknown fields are refused by name. `python -m training train RECIPE --set "
            "section.field=value` changes one for a run. Sizes, spacings and axes are in the order z, y, x."
        ),
        module="training.recipes.recipe",
        root="Recipe",
    ),
    "plans.md": Page(
        title="Plans",
        introduction=(
            "Every field of a plan, a YAML file in `training/plans/published` or of your own, which `python "
            "-m training run PLAN` carries out ([how](pseudo-labels.md)). Fields without a default are "
            "required; unknown fields are refused by name. Where a field takes what another step gives, or "
            "an input, it reads `${NAME}`; anything else there is a path. `extends: NAME` lays a plan over "
            "another one."
        ),
        module="training.plans.plan_document",
        root="Plan",
    ),
}
NOTE = "<!-- Made by `make docs` from the docstrings; change them, not this page. -->"
WORDS: Mapping[Hint, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
}


def render(page: Page) -> str:
    """The whole page as markdown."""
    root = getattr(importlib.import_module(page.module), page.root)
    example = f"```json\n{EXAMPLE.read_text(encoding='utf-8').rstrip()}\n```"
    paragraphs = page.introduction.split("\n\n")
    shown = [example if each == "{example}" else wrapped(each) for each in paragraphs]
    parts = [f"# {page.title}", NOTE, *shown]
    for cls in reachable(root):
        parts += section(cls)
    return "\n\n".join(parts) + "\n"


def reachable(root: type) -> list[type]:
    """A dataclass and all that its fields may hold, each once, a class before what it holds."""
    found: list[type] = []

    def visit(cls: type) -> None:
        if cls in found:
            return
        found.append(cls)
        for hint in get_type_hints(cls).values():
            for held in classes_in(hint):
                visit(held)

    visit(root)
    return found


def classes_in(hint: Hint) -> Iterator[type]:
    """The dataclasses that an annotation names, at any depth."""
    origin: Any = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    elif origin is not Literal:
        for part in get_args(hint):
            yield from classes_in(part)


def section(cls: type) -> list[str]:
    """Heading, explanation and fields of one class."""
    kind = kind_of(cls)
    parts = [f"## {cls.__name__}"]
    if kind is not None:
        parts.append(f"`{KIND}: {kind}`")
    parts.append(prose(docstring_parts(cls)[0]))
    hints, texts = get_type_hints(cls), field_texts(cls)
    fields = [field for field in dataclasses.fields(cls) if field.name != KIND or kind is None]
    items = [item(field, hints[field.name], texts.get(field.name, "")) for field in fields]
    return [*parts, "\n".join(items)] if items else parts


def item(field: "dataclasses.Field[Any]", hint: Hint, text: str) -> str:
    """One field as an item of a list."""
    line = f"- **`{field.name}`** ({words_of(hint)}; {default_of(field)})"
    return wrapped(f"{line}: {' '.join(text.split())}" if text else line, indent="  ")


def words_of(hint: Hint) -> str:
    """What an annotation allows, in words."""
    if hint in WORDS:
        return WORDS[hint]
    origin: Any = get_origin(hint)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(hint))
    if origin is tuple:
        args = get_args(hint)
        if args[-1] is Ellipsis:
            return f"list of: {words_of(args[0])}"
        same = len(set(args)) == 1
        return f"list of {len(args)}: {words_of(args[0]) if same else ', '.join(map(words_of, args))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping from name to: {words_of(get_args(hint)[1])}"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{kind_of(hint) or hint.__name__}](#{hint.__name__.lower()})"
    members = sorted(union_members(hint), key=lambda member: member is not NoneType)
    return " or ".join(map(words_of, members)) if len(members) > 1 else str(getattr(hint, "__name__", hint))


def default_of(field: "dataclasses.Field[Any]") -> str:
    """What holds where a document leaves the field out."""
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and is_plain(value):
        kind = kind_of(type(value))
        return f"default `{kind}`" if kind else "default: its own defaults"
    return f"default `{json.dumps(dump(value), ensure_ascii=False)}`"


def is_plain(value: object) -> bool:
    """Whether a dataclass has no field that differs from its default."""
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    missing = dataclasses.MISSING
    return not any(f.default is missing and f.default_factory is missing for f in fields) and (
        type(value)() == value
    )


def docstring_parts(cls: type) -> tuple[str, dict[str, str]]:
    """A class's explanation, and what its section `Args:` says of each field."""
    explanation, *sections = re.split(r"\n\n(?=\w+:\n)", inspect.cleandoc(cls.__doc__ or ""))
    texts = {}
    for text in sections:
        title, _, body = text.partition("\n")
        if title == "Args:":
            items = re.split(r"\n(?=\w+:)", textwrap.dedent(body))
            texts = {name: rest.strip() for name, _, rest in (entry.partition(":") for entry in items)}
    return explanation, texts


def field_texts(cls: type) -> dict[str, str]:
    """Field to its explanation: the string under it in the source, else its line in `Args:`."""
    texts = docstring_parts(cls)[1]
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, text in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                texts[statement.target.id] = str(text.value.value)
    return texts


def prose(text: str) -> str:
    """Paragraphs wrapped anew; tables stay, indented lines become code."""
    parts = []
    for part in re.split(r"\n\s*\n", text):
        if part.startswith("    "):
            parts.append(f"```\n{textwrap.dedent(part)}\n```")
        elif part.startswith(("|", "- ")):
            parts.append(part)
        else:
            parts.append(wrapped(part))
    return "\n\n".join(parts)


def wrapped(text: str, indent: str = "") -> str:
    """Text in lines that fit."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, or with `--check` say which are not current (exit code 1)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if a page is not current"
    )
    check = parser.parse_args(argv).check
    code = 0
    for name, page in PAGES.items():
        path, text = HERE / name, render(page)
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"docs/{name} is not current: run `make docs`\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
