"""
The appliance itself, ended by `SIGKILL` from within at the n-th passing of one point.

    python -m tests.crash.victim POINT N serve …      (the rest is conduit-local's own command line)
"""

import importlib
import os
import signal
import sys
from functools import reduce

from tests.crash.fuse import Fuse

# point: (what is wrapped, whether the process ends after it instead of before)
POINTS = {
    "parsed": ("conduit_local.dialects.s0.wire:decode_event", True),
    "commit": ("sqlite3:write", False),
    "committed": ("sqlite3:write", True),
    "answer": ("conduit_local.dialects.s0.wire:encode_receipt", False),
    "batch open": ("conduit_local.store.batches:insert_run", True),
    "file written": ("os:fsync", False),
    "file synced": ("os:fsync", True),
    "rename": ("os:rename", False),
    "renamed": ("os:rename", True),
    "batch close": ("conduit_local.store.batches:BatchTable._close", False),
    "batch closed": ("conduit_local.store.batches:BatchTable._close", True),
}
RARE_POINTS = {
    "events and cursor": ("conduit_local.store.append:keep_along", False),
    "events and cursor kept": ("conduit_local.store.append:keep_along", True),
    "receipt": ("conduit_local.destinations.conduit:ConduitDestination._require_receipt", True),
    "forwarded": ("conduit_local.store.append:taken_before", True),
    "forwarded kept": ("conduit_local.store.append:keep_along", True),
    "put": ("conduit_local.destinations.s3.uploads:Uploader.put", False),
    "put done": ("conduit_local.destinations.s3.uploads:Uploader.put", True),
    "rows made": ("conduit_local.engine.landing:Landing.write", False),
    "key file": ("conduit_local.store.vault:write_private", False),
    "key file written": ("conduit_local.store.vault:write_private", True),
    "run kept": ("conduit_local.store.runs:update_run", True),
    "refresh kept": ("conduit_local.store.pipelines:update_run", True),
}
"""Points that traffic alone does not pass."""


def owner_of(module: str, name: str) -> tuple[object, str]:
    """The module or class that holds what is wrapped, and its name there."""
    *owners, last = name.split(".")
    return reduce(getattr, owners, importlib.import_module(module)), last


def main() -> None:
    """Set the fuse, then be the appliance."""
    point, number = sys.argv[1], int(sys.argv[2])
    where, after = {**POINTS, **RARE_POINTS}[point]
    fuse = Fuse(number, after=after, end=lambda: os.kill(os.getpid(), signal.SIGKILL))
    module, name = where.split(":")
    if module == "sqlite3":
        fuse.wrap_sqlite()
    else:
        owner, name = owner_of(module, name)
        setattr(owner, name, fuse.wrap(getattr(owner, name)))
    sys.argv = ["conduit-local", *sys.argv[3:]]
    importlib.import_module("conduit_local.cli.main").main()


if __name__ == "__main__":
    main()
