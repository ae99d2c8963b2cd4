"""What destinations are made with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conduit_local.core.encoding import Encoder
from conduit_local.core.ports import Sender


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What the appliance hands to its destinations."""

    data_folder: Path
    """The folder that a relative path is below."""
    threads: ThreadPoolExecutor
    """For local disks; what waits for a network has threads of its own, or none."""
    sender: Sender
    check_url: Callable[[str], None]
    """Raises ValueError, saying why, where the guard refuses a URL as far as that shows without asking the network."""
    addresses: Callable[[str, int], Awaitable[Sequence[str]]]
    """Those of a host, for what is no HTTP. Raises ValueError where the guard refuses one; OSError."""
    encoder: Encoder
    """Makes Parquet."""
    environment: Mapping[str, str]
    """Where credentials may stand."""
