"""Every place where the catalog keeps secrets, and how they are sealed anew."""

import sqlite3

from conduit_local.core.texts import Texts
from conduit_local.store.writer import Writer

_SECRETS = (
    ("SELECT number, uuid, spec FROM pipelines", "UPDATE pipelines SET spec = ? WHERE number = ?"),
    (
        """SELECT r.pipeline || '/' || r.name, p.uuid, r.destination FROM routes r
           JOIN pipelines p ON p.number = r.pipeline""",
        "UPDATE routes SET destination = ? WHERE pipeline || '/' || name = ?",
    ),
    (
        """SELECT b.number, p.uuid, b.destination FROM batches b
           JOIN pipelines p ON p.number = b.pipeline WHERE b.destination LIKE '%"sealed:v1:%'""",
        "UPDATE batches SET destination = ? WHERE number = ?",
    ),
    (
        """SELECT b.number, p.uuid, b.recipe FROM batches b
           JOIN pipelines p ON p.number = b.pipeline WHERE b.recipe LIKE 'sealed:v1:%'""",
        "UPDATE batches SET recipe = ? WHERE number = ?",
    ),
    (
        """SELECT r.number, p.uuid, r.options FROM runs r
           JOIN pipelines p ON p.number = r.pipeline WHERE r.options LIKE '%"sealed:v1:%'""",
        "UPDATE runs SET options = ? WHERE number = ?",
    ),
    ("SELECT id, id, secret FROM webhooks", "UPDATE webhooks SET secret = ? WHERE id = ?"),
)
"""Where secrets lie: the row, its owner and the text; and how the text is replaced."""


class SecretTables:
    """A part of the catalog."""

    _writer: Writer
    _texts: Texts

    async def reseal(self) -> int:
        """`Catalog.reseal`."""

        def seal_anew(db: sqlite3.Connection) -> int:
            changed = 0
            for select, update in _SECRETS:
                for row, owner, text in db.execute(select).fetchall():
                    sealed = self._texts.resealed(text, owner)
                    if sealed != text:
                        changed += db.execute(update, (sealed, row)).rowcount
            return changed

        return await self._writer.call(seal_anew)
