"""
conduit-local: a production event pipeline in one box.

Read `app.py` first: it names every part and the order in which they start. The floors, bottom up:

    core            nouns and rules; no IO, no clock
    engine          verbs: ingest, route, manage, queries, retention
    formats         how events become bytes in an object
    store           SQLite, the only SQL
    sources, transforms, destinations    one component a file
    http            the neutral kit: router, boundary, auth, limits, body
    dialects, control    the documented APIs, and our own `/_local/`
    config          settings and pipeline files, watched and applied
    app, cli        composition root and command line

`client`, `tui` and `testing` stand outside and reach the appliance through `client` alone.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from conduit_local.client.conduit import AsyncConduit, Conduit

__all__ = ["AsyncConduit", "Conduit", "__version__"]


def __getattr__(name: str) -> object:
    """The client, imported only when it is asked for: `from conduit_local import Conduit`."""
    if name in {"AsyncConduit", "Conduit"}:
        from conduit_local.client import conduit

        return getattr(conduit, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
