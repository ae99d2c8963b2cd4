"""`filter`: keeps the events that meet a condition."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from conduit_local.transforms.transform import Transform, Variables, check_sql, generated


class FilterTransform(Transform):
    """Keeps the events for which a condition is true; those for which it is false, or NULL, are dropped."""

    type: Literal["filter"] = "filter"
    where: Annotated[str, AfterValidator(check_sql)]
    """A condition in SQL, like `event_type = 'order.created' AND (payload->>'total')::DOUBLE > 100`."""

    def compiled(self, variables: Variables) -> str:
        """`Transform.compiled`."""
        return generated("filter", f"SELECT * FROM events WHERE (\n{variables.in_sql('where', self.where)}\n)")
