"""S4's routes: `/api/pipelines`, the runs below it, and `/api/domains`."""

from pydantic import BaseModel

from conduit_local.core.keys import Scope
from conduit_local.core.run import RunState
from conduit_local.dialects.s4 import models
from conduit_local.dialects.s4.errors import words
from conduit_local.dialects.s4.handlers import JSON, MOST, MOST_OFFSET, Domains, Pipelines, Runs
from conduit_local.engine.engine import Engine
from conduit_local.http.router import IF_MATCH, Api, Doc, Param, Route

_REF = {"id": "The pipeline's UUID, id or name."}
_RUN = {"run_id": "The run's UUID or id."}
_DOMAIN = {"id": "The domain's id: any text of 1 to 200 characters."}
_PAGING = (
    Param(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": MOST, "default": 100},
        about="Maximum results.",
    ),
    Param(
        name="offset",
        schema={"type": "integer", "minimum": 0, "maximum": MOST_OFFSET, "default": 0},
        about="Pagination offset.",
    ),
)
_EXAMPLE = {
    "name": "HubSpot to BigQuery",
    "config": {
        "name": "hubspot-contacts",
        "source": {
            "name": "hubspot",
            "stream": "contacts",
            "authentication": {"type": "api_key", "params": {"token": "pat-xxx"}},
        },
        "destination": {"name": "bigquery", "config": {"project_id": "my-project", "dataset": "raw_data"}},
    },
    "schedule": "0 */6 * * *",
    "enabled": True,
    "domain_id": "uuid",
}
_EVERY, _ONE = "/api/pipelines", "/api/pipelines/{id}"
_ONE_RUN, _ONE_DOMAIN = "/api/pipelines/runs/{run_id}", "/api/domains/{id}"
STATUSES = (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503)


def api(engine: Engine) -> Api:
    """The API of an organisation's pipelines over `engine`."""
    pipelines, runs, domains = Pipelines(engine), Runs(engine), Domains(engine)
    return Api(
        name="organisation",
        prefixes=(_EVERY, "/api/domains"),
        words=words,
        about="S4, pipelines of an organisation: connectors with sealed configs, schedules, domains. Their runs have "
        "logs and files to download.",
        errors=dict.fromkeys(STATUSES, models.Failure),
        routes=(*_pipeline_routes(pipelines), *_order_routes(pipelines, runs), *_run_routes(runs), *_domains(domains)),
    )


def _list_of(model: type[BaseModel]) -> dict[str, object]:
    return {"type": "array", "items": model, "maxItems": MOST}


def _pipeline_routes(pipelines: Pipelines) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=_EVERY,
            handler=pipelines.post_pipeline,
            scope=Scope.MANAGE,
            takes=JSON,
            doc=Doc(
                summary="Create a new pipeline",
                about="The config is encrypted at rest. A connector that is not built in needs a stand-in to run.",
                source="S4.1, S4.2",
                body=models.PipelineToCreate,
                example=_EXAMPLE,
                answers={201: models.PipelineShown},
            ),
        ),
        Route(
            method="GET",
            path=_EVERY,
            handler=pipelines.list_pipelines,
            scope=Scope.READ,
            doc=Doc(
                summary="List all pipelines in the organization",
                source="S4.3",
                query=(*_PAGING, Param(name="domain_id", about="Filter by domain.")),
                answers={200: _list_of(models.ListedPipeline)},
            ),
        ),
        Route(
            method="GET",
            path=_ONE,
            handler=pipelines.get_pipeline,
            scope=Scope.READ,
            doc=Doc(
                summary="Get a pipeline by ID, including full config",
                about="Secrets read `[redacted]`, unless the key has `admin`.",
                source="S4.2",
                path=_REF,
                answers={200: models.PipelineDetail},
            ),
        ),
        Route(
            method="PUT",
            path=_ONE,
            handler=pipelines.put_pipeline,
            scope=Scope.MANAGE,
            takes=JSON,
            doc=Doc(
                summary="Update a pipeline",
                about="What is given is merged in; `schedule: null` removes the schedule.",
                source="S4.4",
                path=_REF,
                headers=(IF_MATCH,),
                body=models.PipelineChange,
                example={"name": "HubSpot Contacts (Production)", "schedule": "0 */4 * * *", "enabled": False},
                answers={200: models.PipelineShown},
            ),
        ),
        Route(
            method="DELETE",
            path=_ONE,
            handler=pipelines.delete_pipeline,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Delete a pipeline and all its runs",
                about="What was accepted is still delivered.",
                source="S4.4",
                path=_REF,
                answers={204: None},
            ),
        ),
    )


def _order_routes(pipelines: Pipelines, runs: Runs) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=f"{_ONE}/run",
            handler=runs.post_run,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Trigger a pipeline run manually",
                about="It begins as soon as no other run of the pipeline is under way.",
                source="S4.5",
                path=_REF,
                body=models.RunToBegin,
                body_required=False,
                answers={202: models.RunQueued},
            ),
        ),
        Route(
            method="POST",
            path=f"{_ONE}/duplicate",
            handler=pipelines.duplicate,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Create a copy of a pipeline",
                about="The copy is disabled, and has no events and runs of its own yet.",
                source="S4.5",
                path=_REF,
                body=models.PipelineCopy,
                body_required=False,
                example={"name": "HubSpot to BigQuery (Copy)"},
                answers={201: models.PipelineShown},
            ),
        ),
        Route(
            method="GET",
            path=f"{_ONE}/runs",
            handler=runs.list_runs,
            scope=Scope.READ,
            doc=Doc(
                summary="List runs for a pipeline",
                source="S4.6",
                path=_REF,
                query=(
                    *_PAGING,
                    Param(name="status", schema={"type": "string", "enum": list(RunState)}, about="Filter by status."),
                ),
                answers={200: _list_of(models.RunShown)},
            ),
        ),
    )


def _run_routes(runs: Runs) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_ONE_RUN,
            handler=runs.get_run,
            scope=Scope.READ,
            doc=Doc(summary="Get run details", source="S4.7", path=_RUN, answers={200: models.RunDetail}),
        ),
        Route(
            method="GET",
            path=f"{_ONE_RUN}/logs",
            handler=runs.get_logs,
            scope=Scope.READ,
            doc=Doc(summary="Get run logs", source="S4.7", path=_RUN, answers={200: models.RunLogs}),
        ),
        Route(
            method="GET",
            path=f"{_ONE_RUN}/download",
            handler=runs.download,
            scope=Scope.READ,
            doc=Doc(
                summary="Download run output file",
                about="With its own `Content-Type`; of several objects a zip.",
                source="S4.7",
                path=_RUN,
                answers={200: {"type": "string", "format": "binary"}},
                answer_type="*/*",
            ),
        ),
        Route(
            method="POST",
            path=f"{_ONE_RUN}/cancel",
            handler=runs.cancel,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Cancel a running pipeline",
                about="What was not delivered stays pending.",
                source="S4.7",
                path=_RUN,
                answers={200: models.RunCancelled},
            ),
        ),
    )


def _domains(domains: Domains) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_ONE_DOMAIN,
            handler=domains.get_domain,
            scope=Scope.READ,
            doc=Doc(summary="Get a domain", source="S4.3", path=_DOMAIN, answers={200: models.DomainShown}),
        ),
        Route(
            method="PUT",
            path=_ONE_DOMAIN,
            handler=domains.put_domain,
            scope=Scope.MANAGE,
            takes=JSON,
            doc=Doc(
                summary="Name a domain",
                about="It is made if need be.",
                source="S4.3",
                path=_DOMAIN,
                body=models.DomainName,
                example={"name": "Marketing"},
                answers={200: models.DomainShown},
            ),
        ),
    )
