"""
The documented APIs, one folder each: `routes.py` (handlers), `wire.py` (bytes <-> core, pure), `errors.py` (words).

    s0    the events API: `/v1/events`, `/v1/pipelines`

A handler decodes, makes one call into the engine, encodes. Dialects do not know each other.
"""
