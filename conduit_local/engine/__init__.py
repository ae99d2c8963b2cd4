"""
Verbs: what the appliance does. Knows core only; reaches the world through the ports.

    engine      all of it, put together; the one object that the floors above call
    topology    which pipelines there are now
    ingest      take events
    manage      make, change, pause, resume, drain, flush, delete
    route       one route: read, deliver, move the cursor
    delivery    one batch: intent, attempts, end
    retention   drop what is delivered and old
    queries     events, runs, deliveries
    keys        API keys
    ledger      accepted = delivered + dead + pending + purged
    rates       counts a second, for the last minutes
    journal     the last log lines, in memory
    bell, clock
"""
