"""
How other programs reach an appliance: only through its HTTP APIs.

    conduit     `Conduit`, `AsyncConduit`: send events
    pipelines   `conduit.pipelines`: pipelines and their runs
    asking      what these two share
    control     `ControlClient`: all of `/_local/`, for CLI and TUI
    wire        one HTTP exchange, on the standard library
    find        which appliance: by URL, or by its data folder
    errors      what can go wrong, from a caller's point of view
"""
