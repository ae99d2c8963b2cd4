"""
The suite. Real parts throughout: real SQLite files, real folders, real sockets, real processes.

    making       pipelines, events and stores to test with
    appliance    an appliance as a process of its own, to talk to and to kill
    core, store, engine, destinations, http, control, config, client, cli, tui    a folder a floor
    crash        what survives a kill
    house        the shape of the code itself
"""
