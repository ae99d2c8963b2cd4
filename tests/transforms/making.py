"""Recipes and envelope lines for these tests, and what the kernel says of our children."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from conduit_local.core.content import Content
from conduit_local.core.envelope import envelopes
from conduit_local.core.kinds import Kinds, parse_spec, spec_model
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.transforming import Recipe
from conduit_local.destinations.files import FilesSpec
from conduit_local.transforms.compile import compiled
from conduit_local.transforms.kinds import TRANSFORMS

MODEL = spec_model(Kinds(sources={}, transforms=TRANSFORMS, destinations={"files": FilesSpec}))
AT_US = 1_770_000_000_000_000
ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) AS n FROM t"


def spec_of(*transforms: dict[str, Any]) -> PipelineSpec:
    """A pipeline with these transforms."""
    return parse_spec({"name": "orders", "transforms": list(transforms)}, MODEL)


def recipe_of(*transforms: dict[str, Any], **variables: str) -> Recipe:
    """Their queries."""
    return compiled(spec_of(*transforms), variables)


def sql(query: str) -> Recipe:
    """A recipe of one query."""
    return recipe_of({"type": "sql", "query": query})


def lines_of(payloads: Iterable[str], event_type: str = "order.created") -> list[bytes]:
    """The chunks of events with these payloads, a thousand in each."""
    texts = [payload.encode() for payload in payloads]
    return [
        envelopes("abcde", 1, "pl_8f3a", first + 1, AT_US, [event_type] * len(some), some)
        for first in range(0, len(texts), 1_000)
        if (some := texts[first : first + 1_000])
    ]


def orders(count: int) -> list[bytes]:
    """Events that a query can do something with."""
    return lines_of(json.dumps({"id": number, "mag": number % 9 + 0.5, "place": "10 km W"}) for number in range(count))


def bytes_of(content: Content) -> bytes:
    """All of it; closed afterwards."""
    try:
        return b"".join(content.pieces())
    finally:
        content.close()


def rows_of(content: Content) -> list[Any]:
    """Its lines, decoded; closed afterwards."""
    return [json.loads(line) for line in bytes_of(content).splitlines()]


_SEEN: set[int] = set()


def children() -> set[int]:
    """
    The process ids of all our children that run SQL, zombies too where they were seen alive.

    Other tests of this process may have appliances of their own at the same time.
    """
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found |= set(map(int, (task / "children").read_text().split()))
    _SEEN.update(filter(_runs_sql, found))
    return found & _SEEN


def _runs_sql(pid: int) -> bool:
    try:
        return b"transforms.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors() -> int:
    """How many descriptors are open here."""
    return len(list(Path("/proc/self/fd").iterdir()))


def worked_ticks(pid: int) -> int:
    """How long a process has been computing, in ticks of the kernel's clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def files_in(folder: Path) -> Sequence[str]:
    """All that lies below a folder but what a child that lives keeps there."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "stderr"
    )


def reading(parts: Sequence[bytes]) -> Callable[[], Awaitable[Sequence[bytes]]]:
    """What gives these parts when it is asked."""

    async def read() -> Sequence[bytes]:
        return parts

    return read
