"""From a pipeline's transforms to the queries that do them."""

from collections.abc import Mapping

from conduit_local.core.spec import PipelineSpec
from conduit_local.core.transforming import Recipe
from conduit_local.transforms.transform import Transform, Variables


def compiled(spec: PipelineSpec, values: Mapping[str, str] | None) -> Recipe:
    """A query for each transform, in order. Raises: InvalidRequest when it names a variable that is not in `values`."""
    queries: list[str] = []
    for place, transform in enumerate(spec.transforms):
        assert isinstance(transform, Transform)
        queries.append(transform.compiled(Variables(values=values or {}, place=place)))
    return tuple(queries)
