"""Specs from outside: a YAML or JSON file, a study that ships with lrsearch, or standard input.

YAML is read with YAML 1.2's scalars: ``1e-4`` is a number, only ``true`` and ``false`` are booleans, ``on`` and dates
are words. Tags make nothing but plain data; size, depth, aliases and repeated keys are limited.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .errors import InvalidInput, NotFound
from .frozen import Frozen
from .study import ComparisonSpec, RangeTestSpec, StudySpec

MAX_BYTES = 1024 * 1024
MAX_ALIASES = 100
MAX_NODES = 100_000
"""Values in a document once every alias is written out."""
MAX_DEPTH = 32

SHORT_FORMS: Mapping[str, str] = {"sampler": "name", "optimizer": "name", "pruner": "name", "objective": "metric"}
"""Fields that may be written as one word, and the field that the word stands for."""

Spec = TypeVar("Spec", bound=Frozen)


class Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's core scalars, no merge keys, and limits."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    yaml_constructors = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._aliases = 0
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As PyYAML's, counting aliases, depth, and values with every alias written out."""
        alias = self.check_event(yaml.AliasEvent)
        self._aliases += alias
        self._depth += 1
        if self._aliases > MAX_ALIASES or self._depth > MAX_DEPTH:
            raise yaml.YAMLError(f"a document has at most {MAX_ALIASES} aliases and is at most {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and not alias:
            self._sizes[id(node)] = 1 + sum(self._size(child) for child in _children(node))
            if self._sizes[id(node)] > MAX_NODES:
                raise yaml.YAMLError(f"a document has at most {MAX_NODES:,} values, aliases written out")
        return node

    def _size(self, node: yaml.Node) -> int:
        if id(node) not in self._sizes:
            raise yaml.YAMLError("an alias may not stand inside what it names")
        return self._sizes[id(node)]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML's; keys are strings, each given once."""
        known: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"keys are words (got {key!r:.60})", key_node.start_mark
                )
            if key in known:
                raise yaml.constructor.ConstructorError(
                    None, None, f"a field is given once (got `{key:.60}` twice)", key_node.start_mark
                )
            known.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """A whole number, decimal, ``0o`` octal or ``0x`` hexadecimal; leading zeros mean nothing."""
        text = node.value
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


_NUMBER = "-+0123456789."
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", _NUMBER),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
)  # fmt: skip
for _name, _pattern, _first in _SCALARS:
    Yaml12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), list(_first))
Yaml12Loader.add_constructor("tag:yaml.org,2002:int", Yaml12Loader.construct_integer)


def load(text: str) -> Any:
    """The value of a YAML 1.2 (or JSON) document.

    Raises:
        InvalidInput: it is too large, broken, or beyond a limit; the message says where.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidInput(f"a spec has at most {MAX_BYTES:,} bytes; this one is larger")
    if text.lstrip()[:1] == "{":
        try:
            return json.loads(text, object_pairs_hook=_once)
        except json.JSONDecodeError:
            pass  # YAML's short form of a mapping
        except RecursionError:
            raise InvalidInput(f"a spec is nested at most {MAX_DEPTH} deep") from None
    try:
        return yaml.load(text, Loader=Yaml12Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"this is not valid YAML: {_in_words(error)}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: set[str] = set()
    for key, _ in pairs:
        if key in known:
            raise InvalidInput(f"a field is given once (got `{key:.60}` twice)", field=key)
        known.add(key)
    return dict(pairs)


def _in_words(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())[:300]


def shipped() -> list[str]:
    """The names of the specs that ship with lrsearch."""
    folder = resources.files("lrsearch.studies")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_text(source: str | Path) -> str:
    """The text behind a path, a shipped spec's name, or ``-`` for standard input.

    Raises:
        NotFound: no file and no shipped spec is called so.
        InvalidInput: it is no text.
    """
    try:
        if str(source) == "-":
            return sys.stdin.read(MAX_BYTES + 1)
        path = Path(source)
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                return file.read(MAX_BYTES + 1)
        if str(source) in shipped():
            return (resources.files("lrsearch.studies") / f"{source}.yaml").read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{source}: a spec is UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise NotFound(f"{source!s:.200} cannot be read: {error}") from None
    raise NotFound(
        f"there is no file {source!s:.200}, nor a shipped study of this name; shipped are {', '.join(shipped())}"
    )


def override(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """``data`` with ``"budget.trials=8"`` and the like written over it; values are YAML.

    Raises:
        InvalidInput: a setting is not ``path=value``, or its path leads through something that has no fields.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise InvalidInput(f"a setting is written path=value, like budget.trials=8 (got {setting!r:.100})")
        try:
            value = load(text)
        except InvalidInput as error:
            raise InvalidInput(str(error), field=path) from None
        data = _set(data, names, value, path)
    return data


def _set(here: Any, names: list[str], value: Any, path: str) -> Any:
    name, *rest = names
    if isinstance(here, list) and name.isdecimal() and int(name) < len(here):
        position = int(name)
        changed = _set(here[position], rest, value, path) if rest else value
        return [*here[:position], changed, *here[position + 1 :]]
    if not isinstance(here, dict):
        raise InvalidInput(f"`{name}` cannot be set: there are no fields here", field=path)
    if not rest:
        return {**here, name: value}
    inner = here.get(name)
    if isinstance(inner, str) and name in SHORT_FORMS:
        inner = {SHORT_FORMS[name]: inner}
    return {**here, name: _set({} if inner is None else inner, rest, value, path)}


def _read(
    model: type[Spec], source: str | Path | Mapping[str, Any] | Spec, settings: Iterable[str], name: str | None
) -> Spec:
    if isinstance(source, model):
        data: Any = source.model_dump(mode="json", exclude_unset=True)
    else:
        data = dict(source) if isinstance(source, Mapping) else load(read_text(source))  # type: ignore[arg-type]
    if not isinstance(data, dict):
        raise InvalidInput(f"a spec is a mapping of fields (got {type(data).__name__})")
    data = override(data, settings)
    return model.read(data if name is None else {**data, "name": name})


def read_study(
    source: str | Path | Mapping[str, Any] | StudySpec, settings: Iterable[str] = (), *, name: str | None = None
) -> StudySpec:
    """A study's spec.

    Args:
        source: a path, a shipped study's name, ``-`` for standard input, a mapping, or a spec.
        settings: what to write over it, ``"budget.trials=8"``.
        name: the study's name, instead of the written one.

    Raises:
        NotFound: no such file or shipped study.
        InvalidInput: with every broken law.
    """
    return _read(StudySpec, source, settings, name)


def read_range_test(
    source: str | Path | Mapping[str, Any] | RangeTestSpec, settings: Iterable[str] = (), *, name: str | None = None
) -> RangeTestSpec:
    """A range test's spec; as ``read_study``. Of a study's spec, its task, options and recipe are taken."""
    if isinstance(source, RangeTestSpec):
        return _read(RangeTestSpec, source, settings, name)
    data = source if isinstance(source, Mapping) else load(read_text(source))
    if not isinstance(data, Mapping):
        raise InvalidInput(f"a spec is a mapping of fields (got {type(data).__name__})")
    if "space" in data:
        data = {field: data[field] for field in ("task", "options", "train") if field in data}
    return _read(RangeTestSpec, data, settings, name)


def read_comparison(
    source: str | Path | Mapping[str, Any] | ComparisonSpec, settings: Iterable[str] = (), *, name: str | None = None
) -> ComparisonSpec:
    """A comparison's spec; as ``read_study``."""
    return _read(ComparisonSpec, source, settings, name)
