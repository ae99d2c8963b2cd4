"""
S3: pipes (`003`), `/v1/pipes`, `/v1/ingest/{pipe_id}`, `/v1/api-keys` and `/v1/health`.

    routes.py            the route table of ingest, keys and health; pipe_routes.py: that of pipes
    ingest.py            the handlers of ingest, in the document's order of checks
    management.py        the handlers of pipes, their destinations, limits and origins; keys.py: those of API keys
    records.py           records <-> core, pure
    origins.py           which pages may send, and what tells their browser so, pure
    wire.py              pipes, limits, origins and keys <-> core, pure; destination_wire.py: destinations
    errors.py            words for errors
    models.py, told.py   the shapes of what is asked and what is answered

A pipe is a pipeline, a destination is a route of it, `blocked` is a route that is paused. A pipe is `active` while it
takes records, whether or not it delivers them now. What was decided where the document is silent stands in `README.md`.
"""
