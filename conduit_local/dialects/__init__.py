"""
The documented APIs, one folder each: `routes.py` (handlers), `wire.py` (bytes <-> core, pure), `errors.py` (words).

    s0    the events API: `/v1/events`, `/v1/pipelines`
    s1    pipelines and runs: `/api/v1/pipelines`
    s2    operations: `/pipeline`, `/webhooks`
    s3    pipes: `/v1/pipes`, `/v1/ingest`, `/v1/api-keys`, `/v1/health`
    s4    pipelines of an organisation: `/api/pipelines`, `/api/domains`

A handler decodes, makes one call into the engine, encodes. Dialects do not know each other.
"""
