"""All that is said to a PostgreSQL server."""

from collections.abc import Sequence
from dataclasses import dataclass

from conduit_local.core.content import Column
from conduit_local.destinations.tables.postgres_types import Json, type_for

_KEEPALIVE_S = 20


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def begin(timeout_s: float) -> str:
    """
    A transaction that neither waits for ever nor is waited for for ever, whatever the server's own settings are.

    COPY reads on without looking at the statement's time-out: there it is the connection's keep-alives that find out
    that nobody is at the other end. A commit that is not on the server's disk would be no commit.
    """
    whole_ms = int(timeout_s * 1_000)
    settings = {
        "lock_timeout": max(1, whole_ms // 4),
        "statement_timeout": whole_ms,
        "idle_in_transaction_session_timeout": whole_ms,
        "tcp_keepalives_idle": _KEEPALIVE_S,
        "tcp_keepalives_interval": _KEEPALIVE_S // 2,
        "tcp_keepalives_count": 3,
    }
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
        + "".join(f"SET LOCAL {name} = {value}; " for name, value in settings.items())
        + "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
    )


COLUMNS = """
    SELECT a.attname AS name,
        CASE WHEN t.typtype = 'e' THEN 'enum'
            WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
            ELSE format_type(a.atttypid, a.atttypmod) END AS type,
        a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
        a.attidentity = 'a' OR a.attgenerated <> '' AS own
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
"""Of the table $1: those that must be given, and those that the server gives itself."""

EXISTS = "SELECT to_regclass($1) IS NOT NULL"

GREETING = """
    SELECT current_setting('server_version') AS version, current_database() AS database, current_user AS user,
        (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls
"""

MAY_INSERT = "SELECT has_table_privilege(to_regclass($1), 'INSERT')"

ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7237128, 5)"
"""Two that make the same table at once fail in ways of their own, IF NOT EXISTS or not."""


@dataclass(frozen=True, slots=True)
class Names:
    """The tables of one destination."""

    schema: str
    table: str
    ledger: str

    @property
    def rows_at(self) -> str:
        """The table of the rows, as SQL has it."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @property
    def ledger_at(self) -> str:
        """The ledger, as SQL has it."""
        return f"{quoted(self.schema)}.{quoted(self.ledger)}"

    def make_ledger(self) -> str:
        """The ledger, made."""
        return (
            f"CREATE TABLE {self.ledger_at} (origin text NOT NULL, key text NOT NULL, table_name text NOT NULL,"
            " first_seq bigint, last_seq bigint, rows bigint NOT NULL, size_bytes bigint NOT NULL,"
            " sha256 text NOT NULL, written_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (origin, key))"
        )

    def make_table(self, columns: Sequence[Column], json: Json) -> str:
        """The table of the rows, made."""
        made = ", ".join(f"{quoted(column.name)} {type_for(column.kind, json)}" for column in columns)
        return f"CREATE TABLE {self.rows_at} ({made})"

    def claim(self) -> str:
        """
        The batch's row, unless it is there; where another connection is just committing it, this waits for that.
        """
        return (
            f"INSERT INTO {self.ledger_at} (origin, key, table_name, first_seq, last_seq, rows, size_bytes, sha256)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (origin, key) DO NOTHING RETURNING true"
        )

    def claimed(self) -> str:
        """What the ledger has of a batch."""
        return f"SELECT rows, sha256 FROM {self.ledger_at} WHERE origin = $1 AND key = $2"

    def page(self) -> str:
        """A thousand batches of an origin below a folder, behind a key."""
        return (
            f"SELECT key, size_bytes, sha256 FROM {self.ledger_at}"
            " WHERE origin = $1 AND key > $2 AND starts_with(key, $3) ORDER BY key LIMIT 1000"
        )
