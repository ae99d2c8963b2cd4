"""
S4: pipelines of an organisation (`004`), `/api/pipelines` and `/api/domains`.

    routes.py     the route table, with its documentation
    handlers.py   decode, one call into the engine, encode
    wire.py       bodies <-> core, pure
    config.py     the `config` of a pipeline <-> its configuration here, pure
    errors.py     words for errors
    models.py     the shapes of bodies

A pipeline's `name` is free text, and its slug is made of `config.name` or of the name. `enabled: false` is a paused
pipeline. Connectors are known by their names: what is not built in is kept as it was given, and runs on a stand-in.
What was decided where the document is silent stands in `README.md`.
"""
