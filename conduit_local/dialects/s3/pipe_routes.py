"""S3's routes of pipes, and of what belongs to a pipe: destinations, limits, allowed origins."""

from typing import Any

from pydantic import BaseModel

from conduit_local.core.keys import Scope
from conduit_local.dialects.s3 import models, told
from conduit_local.dialects.s3.management import Pipes
from conduit_local.http.router import IF_MATCH, Doc, Handler, Route

_EVERY, _ONE = "/v1/pipes", "/v1/pipes/{pipe_id}"
_DESTINATIONS, _DESTINATION = f"{_ONE}/destinations", f"{_ONE}/destinations/{{destination_id}}"
_ORIGINS, _ORIGIN = f"{_ONE}/allowed-origins", f"{_ONE}/allowed-origins/{{origin_id}}"
_PATH = {
    "pipe_id": "The pipe's UUID, id or name.",
    "destination_id": "The destination's UUID, or its name here.",
    "origin_id": "The origin's UUID.",
}
_POSTGRES = {
    "destination_type": "postgres",
    "destination_name": "Warehouse",
    "destination_config": {"host": "db.example.com", "user": "etl", "password": "s3cret"},
}


def pipe_routes(pipes: Pipes) -> tuple[Route, ...]:
    """All routes under `/v1/pipes`."""
    return (*_pipes(pipes), *_destinations(pipes), *_limits_and_origins(pipes))


def _pipes(pipes: Pipes) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_EVERY,
            handler=pipes.list_pipes,
            scope=Scope.READ,
            doc=Doc(summary="List pipes, with their usage", source="S3.2", answers={200: told.PipeList}),
        ),
        _change(
            "POST",
            _EVERY,
            pipes.post_pipe,
            "Create a pipe",
            about="Without destinations it gets one: JSON lines in files below `out`.",
            body=models.NewPipe,
            example={"pipe_name": "my_pipe", "limits": {"pl_ingest_max_records_per_request": 500}},
            answers={201: told.PipeAnswer},
        ),
        Route(
            method="GET",
            path=_ONE,
            handler=pipes.get_pipe,
            scope=Scope.READ,
            doc=Doc(
                summary="A pipe; secrets of its destinations read `[redacted]`",
                source="S3.2, S3.3",
                path=_path_of(_ONE),
                answers={200: told.PipeAnswer},
            ),
        ),
        _change(
            "PATCH",
            _ONE,
            pipes.patch_pipe,
            "Update a pipe",
            about="What is not named stays.",
            body=models.PipeChange,
            example={"enrich_timestamp_field": "ingested_at"},
            answers={200: told.PipeAnswer},
        ),
        _change(
            "DELETE",
            _ONE,
            pipes.delete_pipe,
            "Delete a pipe",
            about="What was accepted is still delivered.",
            answers={200: told.Deleted},
        ),
    )


def _destinations(pipes: Pipes) -> tuple[Route, ...]:
    return (
        _change(
            "POST",
            _DESTINATIONS,
            pipes.post_destination,
            "Create a destination",
            about="It gets the records from here on. A type that is not built in needs a stand-in in the settings; "
            "until then its records are kept.",
            body=models.NewDestination,
            example=_POSTGRES,
            answers={201: told.DestinationAnswer},
        ),
        _change(
            "PATCH",
            _DESTINATION,
            pipes.patch_destination,
            "Update a destination",
            about="Send an empty text for a secret to keep it.",
            source="S3.2, S3.3",
            body=models.DestinationChange,
            example={"destination_config": {"host": "db2.example.com", "password": ""}},
            answers={200: told.DestinationAnswer},
        ),
        _change(
            "PATCH",
            f"{_DESTINATION}/status",
            pipes.patch_destination_status,
            "Block a destination, or let it go on",
            about="A blocked one gets nothing; its records are kept until it is active again.",
            source="S3.2, S3.3",
            body=models.StatusChange,
            example={"destination_status": "blocked"},
            answers={200: told.DestinationAnswer},
        ),
        _change(
            "DELETE",
            _DESTINATION,
            pipes.delete_destination,
            "Remove a destination",
            about="An active one still gets what was accepted, a blocked one nothing. The last one stays: 409.",
            answers={200: told.Deleted},
        ),
    )


def _limits_and_origins(pipes: Pipes) -> tuple[Route, ...]:
    return (
        _change(
            "PUT",
            f"{_ONE}/limits",
            pipes.put_limits,
            "Set a pipe's limits",
            about="What is not named stays; `null` takes a limit away.",
            body=models.LimitsChange,
            example={"pl_ingest_max_records_per_request": 500},
            answers={200: told.LimitsAnswer},
        ),
        _change(
            "POST",
            _ORIGINS,
            pipes.post_origin,
            "Allow an origin",
            body=models.NewOrigin,
            example={"origin_domain": "https://app.example.com"},
            answers={201: told.OriginAnswer},
        ),
        _change(
            "DELETE",
            _ORIGIN,
            pipes.delete_origin,
            "Remove an allowed origin",
            answers={200: told.Deleted},
        ),
    )


def _change(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    *,
    answers: dict[int, type[BaseModel]],
    about: str = "",
    source: str = "S3.2",
    body: type[BaseModel] | None = None,
    example: Any = None,
) -> Route:
    """A route that changes something: of a pipe that there is, it may be asked for one version only."""
    return Route(
        method=method,
        path=path,
        handler=handler,
        scope=Scope.MANAGE,
        takes=("application/json",) if body is not None else (),
        doc=Doc(
            summary=summary,
            about=about,
            source=f"{source}, S3.5" if body is not None else source,
            path=_path_of(path),
            headers=(IF_MATCH,) if path != _EVERY else (),
            body=body,
            example=example,
            answers=answers,
        ),
    )


def _path_of(path: str) -> dict[str, str]:
    return {name: about for name, about in _PATH.items() if f"{{{name}}}" in path}
