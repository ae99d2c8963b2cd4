"""
Verbs: what the appliance does. Knows core only; reaches the world through the ports.

    engine      all of it, put together; the one object that the floors above call
    topology    which pipelines there are now
    ingest      take events
    manage      make, change, pause, resume, drain, flush, delete
    parts       what orders work with
    runs        runs by hand and by schedule, one at a time
    scheduler   starts runs at the times that schedules name
    completion  what is complete once cursors have moved
    route       one route: read, deliver, move the cursor
    retention   drop what is delivered and old
    queries     events, runs, deliveries
    keys        API keys
    webhooks    who is told of what
    courier     tells them
    domains     groups of pipelines
    sealing     changing the key of secrets
    ledger      accepted = delivered + dead + pending + purged
    rates       counts a second, for the last minutes
    journal     the last log lines, in memory
    bell, clock
"""
