"""What was delivered, as the catalog has it: the ledger that a destination can be compared with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """An object that a route has delivered, and what is known of it."""

    route: str
    key: str
    destination: str
    """The destination's configuration at that time, as `Batch.destination`."""
    place: str
    """The object's address for people."""
    run: int
    first_seq: int
    last_seq: int
    first_event: str | None
    """The id of the first event of its batch; None where an older version delivered it, as what follows."""
    last_event: str | None
    rows: int | None
    size_bytes: int
    sha256: str | None
    """In hexadecimal digits: `Written.sha256`."""
    landed_at_us: int
