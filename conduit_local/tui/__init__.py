"""
The terminal UI: a client of `/_local/` in a process of its own. It holds no truth.

    app         the application: feed in, screens out
    actions     one table: keys, palette, help and footer are made from it
    commands    the palette
    orders      what is sent to the appliance, and the question before it
    feed        follows the appliance in a thread; what enters is made plain here, once
    crash       what is said when the UI itself fails
    pace        how often; threads: from the feed's onto the UI's; terminal: how UI and terminal end
    look        what a pipeline's state looks like; numbers, ages, sparklines (pure)
    query       the filter language (pure); curl: commands for a shell (pure); ascii: the last filter of `--ascii`
    screens/    one screen a file, questions, sheets
    widgets/    table and log, drawn line by line; panels and details (pure)
    styles.tcss layout and colour

A further screen is one more file in `screens/`, an entry in `SCREENS` of `app.py` and its actions.
"""
