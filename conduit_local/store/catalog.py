"""`Catalog` on SQLite: everything but the events."""

from conduit_local.store.keys import KeyTable
from conduit_local.store.pipelines import PipelineTables
from conduit_local.store.runs import RunTables


class SqliteCatalog(PipelineTables, RunTables, KeyTable):
    """Pipelines and routes, batches and runs, keys. Writes join the log's groups, and so share their fsync."""
