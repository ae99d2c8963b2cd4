"""JSON Schema of settings and pipeline files, for editors and checkers."""

from typing import Any

from pydantic import create_model

from conduit_local.config.cases import Cases
from conduit_local.config.settings import Settings
from conduit_local.core.spec import PipelineSpec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, Any]:
    """The schema of `conduit-local.yaml`."""
    return {"$schema": _DIALECT, **Settings.model_json_schema()}


def pipeline_schema(model: type[PipelineSpec]) -> dict[str, Any]:
    """The schema of a file in `pipelines/`: a pipeline's configuration, and its tests."""
    whole = create_model(model.__name__, __base__=(model, Cases), __doc__=model.__doc__)
    return {"$schema": _DIALECT, **whole.model_json_schema()}
