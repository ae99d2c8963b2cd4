"""
The terminal UI: a client of `/_local/` in a process of its own. It holds no truth.

    app         the application: feed in, screens out, orders to the appliance
    actions     one table: keys, palette, help and footer are made from it
    feed        follows the appliance in a thread; what enters is made plain here, once
    look        what a pipeline's state looks like; numbers, ages, sparklines (pure)
    query       the filter language (pure)
    screens/    one screen a file, and the dialogs
    widgets/    rows, log, panels
    styles.tcss layout and colour

A further screen is one more file in `screens/`, an entry in `SCREENS` of `app.py` and its actions.
"""
