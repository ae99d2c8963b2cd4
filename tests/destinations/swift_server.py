"""OpenStack Swift in one process: the proxy with its s3api, and the three servers behind it. A program for tests."""

import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

swift: Any = import_module("swift.common.wsgi")
import_module("swift.common.utils").eventlet_monkey_patch()
eventlet: Any = import_module("eventlet")
wsgi: Any = import_module("eventlet.wsgi")  # what it takes from the standard library is patched by now


def serve(folder: Path, ports: dict[str, int]) -> None:
    """Serve what `<name>.conf` in the folder says on each port, for ever."""
    import_module("swift.common.utils").set_swift_dir(folder)
    for name in ("account", "container", "object"):
        ring = import_module("swift.common.ring").RingBuilder(part_power=1, replicas=1, min_part_hours=0)
        ring.add_dev(
            {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[name], "device": "d1", "weight": 1.0, "meta": ""}
        )
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{name}.ring.gz"))
    programs = {name: swift.loadapp(str(folder / f"{name}.conf"), {"log_name": name}) for name in ports}
    quiet = logging.getLogger("wsgi")
    servers = [
        eventlet.spawn(wsgi.server, eventlet.listen(("127.0.0.1", ports[name])), program, quiet, debug=False)
        for name, program in programs.items()
    ]
    for server in servers:
        server.wait()


if __name__ == "__main__":
    names = ("account", "container", "object", "proxy")
    serve(Path(sys.argv[1]), dict(zip(names, map(int, sys.argv[2:]), strict=True)))
