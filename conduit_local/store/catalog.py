"""`Catalog` on SQLite: everything but the events."""

from conduit_local.core.texts import Texts
from conduit_local.store.batches import BatchTable
from conduit_local.store.dead import DeadTable
from conduit_local.store.keys import KeyTable
from conduit_local.store.pipelines import PipelineTables
from conduit_local.store.readers import Readers
from conduit_local.store.runs import RunTables
from conduit_local.store.secrets import SecretTables
from conduit_local.store.webhooks import Outbox, WebhookTable
from conduit_local.store.writer import Writer


class SqliteCatalog(PipelineTables, RunTables, BatchTable, DeadTable, KeyTable, WebhookTable, SecretTables):
    """Pipelines, batches, runs, dead letters, keys, webhooks. Writes join the log's groups and share their fsync."""

    def __init__(self, writer: Writer, readers: Readers, texts: Texts, outbox: Outbox) -> None:
        self._writer = writer
        self._readers = readers
        self._texts = texts
        self._outbox = outbox
