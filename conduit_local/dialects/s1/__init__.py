"""
S1: pipelines and runs (`001`), `/api/v1/pipelines`.

    routes      the handlers, and the table of routes
    wire        bytes <-> core
    models      the shapes of bodies, for the OpenAPI document
    errors      words for every error; 422 for a configuration that is wrong

Where the document is silent: a definition is a pipeline's configuration as in a pipeline file, and what `GET` shows
can be sent back by `PUT`. `last_run` and `next_run_at` are then passed over, `status` pauses or resumes where it
differs from what is shown. An unknown field is refused by its name. `PUT` replaces the whole configuration but never
renames: another `name` than that of the path is a 422. A run that waits reads `running`. Numbers out of range are a
400, not a silent cut.
"""
