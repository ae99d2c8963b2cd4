"""What a configuration must stand before it is kept."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from conduit_local.core.content import Column
from conduit_local.core.delivering import Destinations
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.pulling import Sources
from conduit_local.core.secrets import REVEAL
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.transforming import QueryRefused, Recipe, TransformFailed, Transforms
from conduit_local.core.variables import VariableMissing, with_variables

_REMEMBERED = 1_000
_DECLARE = "declare it under `variables`, or give it to the run"


class Checks:
    """
    Asks the adapters what they know of a configuration.

    What passed is remembered, so that it is asked once: before a pipeline is locked, for SQL may take its time, and
    again while it is locked, where the answer is then at hand.
    """

    def __init__(self, destinations: Destinations, sources: Sources, transforms: Transforms) -> None:
        self._destinations = destinations
        self._sources = sources
        self._transforms = transforms
        self._columns: OrderedDict[Recipe, tuple[Column, ...]] = OrderedDict()

    async def check(self, spec: PipelineSpec, *, by_file: bool, old: PipelineSpec | None = None) -> None:
        """
        Raises: InvalidRequest with every problem found; TransformUnavailable when SQL cannot be run just now. `old` is
        what is there already: its transforms need not be asked about again.
        """
        problems = [] if by_file else [*self._destinations.refused_to_apis(spec), *self._sources.refused(spec)]
        problems += self._sources.unreachable(spec, spec.given({}))
        if problems:
            raise refusal(problems)
        self.check_variables(spec, _any_values(spec))
        if old is None or self.must_ask(spec, old):
            await self.columns(spec)

    def must_ask(self, spec: PipelineSpec, old: PipelineSpec) -> bool:
        """Whether to check it in the place of `old` takes SQL, which takes its time. Raises: InvalidRequest."""
        if not spec.transforms or (old.transforms, old.variables) == (spec.transforms, spec.variables):
            return False
        return self._transforms.recipe(spec, _any_values(spec)) not in self._columns

    def check_variables(self, spec: PipelineSpec, given: Mapping[str, str]) -> None:
        """Raises: InvalidRequest when a source or a transform names a variable that is not among `given`."""
        problems = []
        for place, source in enumerate(spec.sources):
            document = source.model_dump(mode="json", context=REVEAL)
            for path, text in _texts_in(document, ("sources", place)):
                try:
                    with_variables(text, given)
                except VariableMissing as error:
                    problems.append(Problem(path=path, message=f"{error}: {_DECLARE}"))
        if problems:
            raise refusal(problems)
        self._transforms.recipe(spec, given)

    async def columns(self, spec: PipelineSpec) -> tuple[Column, ...] | None:
        """The columns of the rows that land; None where envelopes do. Raises: as `check`."""
        if not spec.transforms:
            return None
        recipe = self._transforms.recipe(spec, _any_values(spec))
        known = self._columns.get(recipe)
        if known is None:
            known = await checked(self._transforms, recipe)
            self._columns[recipe] = known
            if len(self._columns) > _REMEMBERED:
                self._columns.popitem(last=False)
        self._columns.move_to_end(recipe)
        return known


async def checked(transforms: Transforms, recipe: Recipe) -> tuple[Column, ...]:
    """The columns that come of a recipe. Raises: InvalidRequest when a query is wrong; TransformUnavailable."""
    try:
        return await transforms.check(recipe)
    except QueryRefused as error:
        place = f"line {error.line}, column {error.column}: " if error.line is not None else ""
        raise refusal([Problem(path=("transforms", error.step), message=place + error.message)]) from error
    except TransformFailed as error:
        message = f"fails without any event: {error.message}"
        raise refusal([Problem(path=("transforms", error.step), message=message)]) from error


def _texts_in(document: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(document, str):
        yield path, document
    elif isinstance(document, Mapping):
        for name, value in document.items():
            yield from _texts_in(value, (*path, name))
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from _texts_in(value, (*path, place))


def _any_values(spec: PipelineSpec) -> dict[str, str]:
    """The variables that are declared, those that only a run gives a value among them."""
    return {name: value or "" for name, value in spec.variables.items()}
