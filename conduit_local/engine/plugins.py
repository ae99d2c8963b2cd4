"""
Kinds of components that other packages bring, by entry points.

    [project.entry-points."conduit_local.sources"]
    lottery = "example_lottery:LOTTERY"

An entry point's name is the component's `type`. What it names is a `Plugin`: the model of its settings, and what makes
one out of them. It is imported only where an appliance (or `check`) asks which kinds there are. One that cannot be
imported, or is none, is a kind that no configuration may use: the reason is said there, and everything else works.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from pydantic import create_model, model_validator

from conduit_local.core.spec import Component


@runtime_checkable
class Plugin(Protocol):
    """What an entry point names. `spec` and `make` may stand in a module, a class or an object."""

    spec: type[Component]
    """The model of its settings; `type` is a `Literal` of the entry point's name."""
    make: Callable[..., Any]
    """Makes a component out of its settings: what else it is given stands in the package of its role."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugins:
    """The kinds that were found, by `type`."""

    specs: Mapping[str, type[Component]]
    makers: Mapping[str, Callable[..., Any]]
    problems: tuple[str, ...]
    """What could not be had, for the log."""


NONE = Plugins(specs={}, makers={}, problems=())

C = TypeVar("C", bound=Component)


def find_plugins(group: str, taken: Mapping[str, type[Component]], base: type[Component] = Component) -> Plugins:
    """
    The plugins of an entry point group, like `conduit_local.sources`; kinds that are `taken` are not replaced.

    `base` is what the models of such components must be.
    """
    from importlib.metadata import entry_points

    specs: dict[str, type[Component]] = {}
    makers: dict[str, Callable[..., Any]] = {}
    problems: list[str] = []
    for entry in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value
        problem = None
        if entry.name in taken or entry.name in makers:
            problem = "there is another of that type"
        else:
            try:
                plugin = entry.load()
                specs[entry.name], makers[entry.name] = _parts(plugin, entry.name, base), plugin.make
            except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises concerns its own kind only
                problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            problems.append(f"the plugin {entry.name!r} of {package} cannot be used: {problem}")
            if entry.name not in taken and entry.name not in makers:
                specs[entry.name] = _unusable(entry.name, problems[-1], base)
    return Plugins(specs=specs, makers=makers, problems=tuple(problems))


def _parts(plugin: object, kind: str, base: type[Component]) -> type[Component]:
    spec: object = getattr(plugin, "spec", None)
    if not isinstance(plugin, Plugin) or not callable(plugin.make):
        raise TypeError("it has no `spec` and `make`")
    if not (isinstance(spec, type) and issubclass(spec, base)):
        raise TypeError(f"its `spec` is no {base.__module__}.{base.__name__}")
    if get_args(spec.model_fields["type"].annotation) != (kind,):
        raise TypeError(f"the `type` of its `spec` is not Literal[{kind!r}]")
    return spec


def _unusable(kind: str, problem: str, base: type[C]) -> type[C]:
    """The model of a kind that is refused, with the reason, wherever it stands."""

    def refuse(_value: object) -> object:
        raise ValueError(problem)

    this_kind: Any = Literal[kind]
    validators: Any = {"refuse": model_validator(mode="before")(refuse)}
    return create_model(f"Unusable_{kind}", __base__=base, __validators__=validators, type=(this_kind, kind))
