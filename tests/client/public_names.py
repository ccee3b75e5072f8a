"""Say every public name of the client with its signature, a line each: what a user's program may lean on.

`python -m tests.client.public_names` prints the lines of the client that is imported; `tests/client/public_names.txt`
holds those of the commit b2c3cda, from before the client was laid out in packages. To write it anew from a checkout of
that commit, or with a change that is meant:

    PYTHONPATH=CHECKOUT/client .venv/bin/python -m tests.client.public_names > tests/client/public_names.txt
"""

import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

MODULES = {
    "staa_client.video": ("Frame", "frames_at", "sampled"),
    "staa_client.watch": ("Latency", "LiveSource", "OnError", "watch", "watch_async"),
    "staa_client.cli": ("main", "entry"),
}
"""Module -> its names that are held beside those of the client itself."""
MADE_HERE = {"Watch", "AsyncWatch"}
"""Classes that no user makes: `Client.watch` gives them."""
SPOKEN = {"__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__", "__aiter__", "__anext__"}
PREFIX = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")
"""The modules before a name: where a type stands is no promise."""


def lines() -> Iterator[str]:
    """Yield what can be said of each public name, in the order of the alphabet."""
    client = importlib.import_module("staa_client")
    for name in client.__all__:
        yield from describe(name, getattr(client, name))
    for module, names in MODULES.items():
        loaded = importlib.import_module(module)
        for name in names:
            yield from describe(f"{module}:{name}", getattr(loaded, name))


def describe(name: str, value: Any) -> Iterator[str]:
    """Yield the lines of one name: a function, a class with its members, a type, or a value."""
    if typing.is_typeddict(value):
        for key, kind in sorted(typing.get_type_hints(value).items()):
            yield f"{name}[{key!r}]: {type_text(kind)}"
    elif inspect.isclass(value) and isinstance(value, type):
        parents = [parent.__name__ for parent in value.__mro__[1:] if parent is not object]
        made = "" if name in MADE_HERE else signature_text(value)
        yield f"class {name}{made}" + (f" is {', '.join(parents)}" if parents else "")
        for member in sorted(_members(value)):
            yield from _describe_member(f"{name}.{member}", inspect.getattr_static(value, member))
    elif name.startswith("staa_client.watch:") and inspect.isfunction(value):
        yield f"{name} takes {', '.join(sorted(keywords(value)))}"
    elif inspect.isfunction(value):
        yield f"{name}{signature_text(value)}"
    elif isinstance(value, str):
        yield f"{name}: str"
    else:
        yield f"{name} = {type_text(value)}"


def _members(kind: type) -> Iterator[str]:
    """Yield the public members that a class has of its own, and how it is entered and iterated."""
    for name in vars(kind):
        if not name.startswith("_") or name in SPOKEN | {"_repr_html_"}:
            yield name


def keywords(function: Any) -> set[str]:
    """Return what a function takes by name, with the options that it takes or hands on as `**options`."""
    given = inspect.signature(function).parameters.values()
    names = {each.name for each in given if each.kind is not inspect.Parameter.VAR_KEYWORD}
    for each in given:
        if each.kind is inspect.Parameter.VAR_KEYWORD:
            packed = typing.get_args(each.annotation)
            options = packed[0] if packed else importlib.import_module("staa_client").Options
            names |= set(typing.get_type_hints(options))
    return names


def _describe_member(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property):
        assert member.fget is not None
        yield f"{name}: {signature_text(member.fget).rpartition(' -> ')[2]}"
    elif isinstance(member, classmethod | staticmethod):
        yield f"{type(member).__name__} {name}{signature_text(member.__func__)}"
    elif inspect.isfunction(member):
        yield f"{'async ' * inspect.iscoroutinefunction(member)}{name}{signature_text(member)}"
    elif not isinstance(member, types.MemberDescriptorType):  # a slot, whose field stands in the class's own line
        yield f"{name} = {member!r}"


def signature_text(value: Any) -> str:
    """Return the parameters with their kinds, types and defaults, and the type of what comes back."""
    signature = inspect.signature(value)
    home = vars(sys.modules[value.__module__])
    parameters = [
        each.replace(annotation=_Text(each.annotation, home), default=_Default.of(each.default))
        for each in signature.parameters.values()
    ]
    returns = _Text(signature.return_annotation, home)
    return str(signature.replace(parameters=parameters, return_annotation=returns)).replace(": ?", "")


class _Text:
    """A type that prints as `type_text` says."""

    def __init__(self, kind: Any, home: dict[str, Any]) -> None:
        self.kind, self.home = kind, home

    def __repr__(self) -> str:
        return "?" if self.kind is inspect.Signature.empty else type_text(self.kind, self.home)


class _Default:
    """A default that prints without the place in memory."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return it, or the mark of none."""
        return value if value is inspect.Parameter.empty else cls(value)

    def __repr__(self) -> str:
        return PREFIX.sub("", re.sub(r" at 0x[0-9a-f]+", "", repr(self.value)))


def type_text(kind: Any, home: dict[str, Any] | None = None) -> str:
    """Return a type in words that do not depend on where it stands, on its aliases, or on the order of a union."""
    kind = kind.__forward_arg__ if isinstance(kind, typing.ForwardRef) else kind
    if isinstance(kind, str):
        named = {name: getattr(importlib.import_module("staa_client.watch"), name) for name in ("LiveSource", "Watch")}
        try:
            kind = eval(kind, {**named, **(home or {})})  # noqa: S307  # an annotation of our own
        except NameError:
            return PREFIX.sub("", kind)
    if isinstance(kind, list):
        return f"[{', '.join(type_text(each, home) for each in kind)}]"
    if typing.get_origin(kind) is not None:
        return _generic_text(kind, home)
    if isinstance(kind, type):
        return "None" if kind is type(None) else kind.__name__
    return "..." if kind is ... else PREFIX.sub("", str(kind))


def _generic_text(kind: Any, home: dict[str, Any] | None) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return f"Literal[{', '.join(sorted(map(repr, arguments)))}]"
    texts = [type_text(each, home) for each in arguments]
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(sorted(set(texts)))
    if origin is np.ndarray:
        return f"ND{texts[1].replace('dtype', 'Array')}"
    return f"{PREFIX.sub('', getattr(origin, '__qualname__', str(origin)))}[{', '.join(texts)}]"


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in lines()))
