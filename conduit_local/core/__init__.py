"""
Nouns and rules: no IO, no clock, no event loop.

    ids         public ids of events, pipelines, runs and keys
    event       what an event may look like
    envelope    an event as the log keeps it and as it lands
    names       slugs, titles, public ids
    schedule    cron lines
    secrets     secrets inside configurations: redacted unless asked for; kept_secrets: what an edit makes of them
    spec        a pipeline's configuration
    kinds       the full model of it, out of the components that there are
    texts       a configuration as it is kept, secrets sealed
    pipeline    a pipeline: its configuration, its state, its routes' health
    batch       how a run of events becomes one object: where it closes, and what it is called
    run         one execution on a pipeline
    webhook     who wants to be told of what, and each telling
    keys        API keys and scopes
    retry       backoff
    errors      the three families, by who must act
    problems    what is wrong with a configuration, in plain words
    times       RFC 3339 and durations
    plain       foreign text made safe to show
    ports       what the engine needs from the world; by subject: catalog, log, pulling, transforming, delivering,
                encoding
"""
