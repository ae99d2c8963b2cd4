"""
The command line: one file a command group.

    main        the table of commands; imports a group only when it is called
    common      finding the appliance, printing, exit codes
    serve       serve, the appliance itself; bare `conduit-local`, demo, attach
    cases       pipelines test
    status, pipelines, events, runs, keys, secrets, check

Exit codes: 0 done, 1 failed, 2 usage or invalid configuration, 3 appliance not reachable, 4 data folder in use,
74 I/O error.
"""
