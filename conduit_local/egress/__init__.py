"""
HTTP to elsewhere, guarded: a URL that somebody gave must not make the appliance reach what only the appliance can
reach (fault 17).

    guard       which addresses may be reached: asked when a URL is given, and again of the address connected to
    resolver    names to addresses
    client      sending
    addresses   of hosts that are reached by what is no HTTP
"""
