"""`events`, as it goes from step to step."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from conduit_local.core.content import Column
from conduit_local.transforms.child.exact import add_macros
from conduit_local.transforms.child.failures import Failed, failure_of
from conduit_local.transforms.child.inspection import Inspector
from conduit_local.transforms.child.lines import are_envelopes, line_of
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.paths import quoted_name, quoted_text

_LONGEST_LINE = 4 * 1024**2
_MOST_COLUMNS = 1_000
_HEAD = r'^\{"event_id":"([^"]*)","pipeline_id":"([^"]*)","event_type":"([^"]*)","received_at":"([^"]*)",'
_NAMES = "['event_id', 'pipeline_id', 'event_type', 'received_at']"
_PAYLOAD = '"payload":'
_AS_IS = "HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE ''"  # no JSON holds the character 1
_MADE = "CREATE TABLE made AS\n"
_PASSED = 1_000


class Database:
    """A database in memory that reaches nothing but its folder, and cannot be told otherwise."""

    def __init__(self, folder: Path, memory_bytes: int, output_bytes: int) -> None:
        self._folder = str(folder)
        self._db = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,  # the order of rows, and so the bytes of an object, follow from the events alone
                "memory_limit": f"{memory_bytes}B",
                "max_temp_directory_size": f"{output_bytes}B",
                "python_enable_replacements": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute("SET errors_as_json = true")
        self._db.execute("SET enable_progress_bar = false")
        add_macros(self._db)
        self._inspector = Inspector(self._db)
        self._passed: set[str] = set()
        self._db.execute(f"SET temp_directory = {quoted_text(str(folder / 'spill'))}")
        self._db.execute(f"SET allowed_directories = [{quoted_text(f'{folder}/')}]")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def check(self, queries: Sequence[str]) -> list[Column]:
        """The columns that come of it, found on no events. Raises: Failed; everything is the query's own fault here."""
        with _Batch(self._db) as batch:
            batch.make_empty()
            columns = list(EVENTS)
            for step, query in enumerate(queries):
                try:
                    self._inspect(step, query)
                    batch.check_names(step, query)
                    columns = batch.step(step, query)
                except Failed as failed:
                    kind = "query" if failed.kind == "rows" else failed.kind
                    raise Failed(kind, self._cleaned(failed.message), failed.step, failed.place) from None
            return columns

    def run(self, queries: Sequence[str], source: Path, target: Path) -> tuple[list[Column], int]:
        """Reads `source`, writes `target`; the columns and how many rows, columns () for envelopes. Raises: Failed."""
        with _Batch(self._db) as batch:
            try:
                batch.read(source)
                columns = list(EVENTS)
                for step, query in enumerate(queries):
                    self._inspect(step, query)
                    columns = batch.step(step, query)
                rows = batch.write(target, columns, len(queries) - 1)
            except Failed as failed:
                raise Failed(failed.kind, self._cleaned(failed.message), failed.step, failed.place) from None
        return [] if are_envelopes(columns) else columns, rows

    def encode(self, columns: Sequence[Column], source: Path, target: Path) -> None:
        """The lines in `source` as Parquet, in `target`. Raises: Failed."""
        from conduit_local.transforms.child.parquet import write_parquet  # most children never need it

        try:
            write_parquet(self._db, columns, source, target)
        except Failed as failed:
            raise Failed(failed.kind, self._cleaned(failed.message)) from None

    def _inspect(self, step: int, query: str) -> None:
        if query in self._passed:
            return
        self._inspector.check(query, step)
        if len(self._passed) >= _PASSED:
            self._passed.clear()
        self._passed.add(query)

    def _cleaned(self, message: str) -> str:
        """Where our files lie is nobody's business."""
        return message.replace(self._folder, "scratch")


class _Batch:
    """The tables of one request: a schema of its own, gone afterwards."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db

    def __enter__(self) -> "_Batch":
        self._db.execute("CREATE SCHEMA batch")
        self._db.execute("USE batch")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.execute("USE main")
        self._db.execute("DROP SCHEMA batch CASCADE")

    def make_empty(self) -> None:
        """`events` without rows."""
        columns = ", ".join(f"{quoted_name(column.name)} {column.kind}" for column in EVENTS)
        self._db.execute(f"CREATE TABLE events ({columns})")

    def read(self, source: Path) -> None:
        """
        `events` of envelope lines.

        The lines are read as text and cut: `read_json` would write the payload's numbers anew.
        """
        lines = (
            f"read_csv({quoted_text(str(source))}, auto_detect = false, columns = {{line: 'VARCHAR'}}, header = false,"
            f" delim = '\x01', quote = '', escape = '', comment = '', new_line = '\\n',"
            f" max_line_size = {_LONGEST_LINE}, parallel = false)"
        )
        payload = f"line[strpos(line, {quoted_text(_PAYLOAD)}) + {len(_PAYLOAD)}:-2]"
        try:
            self._db.execute(
                "CREATE TABLE events AS SELECT head.event_id, head.pipeline_id, head.event_type,"
                " head.received_at::TIMESTAMPTZ AS received_at, payload FROM"
                f" (SELECT regexp_extract(line, '{_HEAD}', {_NAMES}) AS head, {payload}::JSON AS payload FROM {lines})"
            )
        except (duckdb.Error, MemoryError) as error:
            failed = failure_of(error, 0, "")
            raise Failed("broken" if failed.kind == "query" else failed.kind, failed.message) from None

    def check_names(self, step: int, query: str) -> None:
        """Raises: Failed when two columns have one name: the table would have other names than the query says."""
        try:
            names = [str(row[0]).lower() for row in self._db.execute(f"DESCRIBE {query}").fetchall()]
        except (duckdb.Error, MemoryError) as error:
            raise failure_of(error, step, query, len("DESCRIBE ")) from None
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Failed("query", f"two columns are called {twice!r}; name one of them with AS", step)
        if len(names) > _MOST_COLUMNS:
            raise Failed("query", f"has {len(names)} columns; {_MOST_COLUMNS:,} is the most", step)

    def step(self, number: int, query: str) -> list[Column]:
        """`events` becomes what the query makes of it; returns its columns. Raises: Failed."""
        try:
            self._db.execute(_MADE + query)
            self._db.execute("DROP TABLE events")
            self._db.execute("ALTER TABLE made RENAME TO events")
            found = self._db.execute("DESCRIBE events").fetchall()
        except (duckdb.Error, MemoryError) as error:
            raise failure_of(error, number, query, len(_MADE)) from None
        return [Column(str(name), str(kind)) for name, kind, *_ in found]

    def write(self, target: Path, columns: list[Column], step: int) -> int:
        """The rows as JSON lines; returns how many. Raises: Failed."""
        copied = f"COPY (SELECT {line_of(columns)} FROM events) TO {quoted_text(str(target))}"
        try:
            done = self._db.execute(f"{copied} (FORMAT csv, {_AS_IS}, USE_TMP_FILE false)").fetchone()
        except (duckdb.Error, MemoryError) as error:
            raise failure_of(error, step, "") from None
        return int(done[0]) if done else 0
