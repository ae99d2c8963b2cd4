"""
Where events come from besides the HTTP APIs. One component a file; `kinds.py` names them and makes them.

    push        events are sent; every pipeline has it
    files       a watched inbox: inbox.py finds the files, reading.py opens them, remembered.py is the cursor
    http        paged JSON over GET: http_spec.py has the settings, paging.py is the cursor
    fixture     one file, read once
    connector   a name for something elsewhere; the settings may have a stand-in for it

Each reads something and brings events with a cursor, which are committed together (`core.pulling.Source`).

Other packages bring further kinds by an entry point, whose name is the `type` in configurations:

    [project.entry-points."conduit_local.sources"]
    lottery = "example_lottery:LOTTERY"

What it names has `spec`, a model derived from `core.spec.Component` (or `sources.events.PulledSpec`) whose `type` is a
`Literal` of that name, and `make(spec, means)`, which gives a `core.pulling.Source`; `means` is a
`sources.kinds.Means`. A property `cursor_name` of the model says under which name the cursor is kept; without one it is
the `type`. `tests/sources/example_plugin` is a whole one. `engine.plugins` finds them; one that cannot be used is
refused wherever a configuration names it, with the reason, and the appliance starts all the same.
"""
