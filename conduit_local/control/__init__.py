"""
The control API: `/_local/`, for the CLI, the TUI, the client and the test kit; `/metrics`; liveness and readiness.

    routes      the route table
    snapshot    how everything stands, in one answer
    stream      the same, pushed (server-sent events), coalesced for slow clients
    pipelines   pipelines and orders; events by array or NDJSON
    arriving    the events of a request, and whose they are
    records     events, runs, log lines
    keys        API keys
    wire        nouns to JSON
    models      its shapes, and
    docs        what the OpenAPI document says of it
    metrics     Prometheus
    test        the clock, only with `--testing`

Its shapes are ours and may grow fields; none is taken away within a major version.
"""
