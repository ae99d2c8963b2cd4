"""JSON Schema of settings and pipeline files, for editors and checkers."""

from typing import Any

from conduit_local.config.settings import Settings
from conduit_local.core.spec import PipelineSpec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, Any]:
    """The schema of `conduit-local.yaml`."""
    return {"$schema": _DIALECT, **Settings.model_json_schema()}


def pipeline_schema(model: type[PipelineSpec]) -> dict[str, Any]:
    """The schema of a file in `pipelines/`."""
    return {"$schema": _DIALECT, **model.model_json_schema()}
