"""The ledger: `accepted = delivered + dead + pending + purged`, per route. It must always close."""

from dataclasses import dataclass

from conduit_local.core.batch import Mark
from conduit_local.engine.topology import LiveRoute


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """
    A route's account of events.

    `accepted` and `pending` come from the log's numbering, `delivered` and `dead` are added up batch by batch in the
    commit that moves the cursor; so that the sum agrees is a check, not a definition.
    """

    accepted: int
    delivered: int
    dead: int
    pending: int
    purged: int
    filtered: int

    @property
    def closes(self) -> bool:
        """Whether every accepted event is accounted for."""
        parts = (self.delivered, self.dead, self.pending, self.purged)
        return self.accepted == sum(parts) and min(parts) >= 0


def ledger_of(route: LiveRoute, head: Mark) -> Ledger:
    """The account of one route, given the end of its pipeline's log."""
    through = head.seq if route.through_seq is None else route.through_seq
    if route.replays is None:
        through = min(through, head.seq)
    return Ledger(
        accepted=through - route.start_seq,
        delivered=route.delivered,
        dead=route.dead,
        pending=through - route.cursor,
        purged=route.purged,
        filtered=route.filtered,
    )
