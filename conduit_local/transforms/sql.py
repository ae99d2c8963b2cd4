"""`sql`: a query of the pipeline's own."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from conduit_local.transforms.transform import Transform, Variables, check_sql


class SqlTransform(Transform):
    """What a query yields takes the events' place."""

    type: Literal["sql"] = "sql"
    query: Annotated[str, AfterValidator(check_sql)]
    """A SELECT, in DuckDB's SQL, over the table `events`; at most 64 KiB. A single quote in the value of a `${NAME}`
    is doubled."""

    def compiled(self, variables: Variables) -> str:
        """`Transform.compiled`."""
        return variables.in_sql("query", self.query)
