"""A real PostgreSQL server, to talk to, to kill and to start again."""

import csv
import datetime as dt
import functools
import io
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.appliance import free_port
from tests.conftest import missing

USER, PASSWORD, DATABASE = "conduit", "a long, secret: pass/word@", "postgres"
csv.field_size_limit(1 << 20)
_STARTS_WITHIN_S = 60.0
_OWNERS = ("postgres", "nobody")


@functools.cache
def programs() -> Path | None:
    """Where PostgreSQL's programs are; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _owner() -> str | None:
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in _OWNERS if name in names)


class PostgresServer:
    """A server with a folder of its own, with a password and TLS; durable, so that killing it is fair."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = 0

    @property
    def certificate(self) -> Path:
        """Its own, for `localhost` and no other name; signed by itself."""
        return self.folder / "server.crt"

    def make(self) -> None:
        """The files of the server."""
        (self.folder / "password").write_text(PASSWORD)
        _certify(self.certificate, self.folder / "server.key")
        if (owner := _owner()) is not None:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, owner)
        arguments = ["-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile", "password", "--no-sync"]
        subprocess.run(
            [self._binaries / "initdb", *arguments, "-E", "UTF8", "--locale", "C.UTF-8"],
            cwd=self.folder,
            user=_owner(),
            check=True,
            capture_output=True,
        )

    def start(self, **changed: str) -> None:
        """Start, with other settings here and there, and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "max_connections": "60",
            "ssl": "on",
            "ssl_cert_file": str(self.certificate),
            "ssl_key_file": str(self.folder / "server.key"),
            **changed,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", "data", "-p", str(self.port), "-k", str(self.folder), *flags],
                cwd=self.folder,
                user=_owner(),
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _STARTS_WITHIN_S
        while not self._takes_connections():
            starting = self._process.poll() is None and time.monotonic() < end
            assert starting, (self.folder / "log").read_text()[-3_000:]

    def kill(self) -> None:
        """`kill -9` to all of its processes: what was in memory only is gone."""
        assert self._process is not None
        below = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.kill()
        for pid in map(int, below):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """At once, without waiting for anybody."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def dsn(self, port: int | None = None, *, user: str = USER, password: str = PASSWORD, **parameters: str) -> str:
        """How to connect to it, or to a proxy in front of it."""
        query = "&".join(f"{name}={value}" for name, value in {"sslmode": "disable", **parameters}.items())
        return f"postgres://{user}:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{DATABASE}?{query}"

    def new_schema(self) -> str:
        """A schema that nobody else uses."""
        self._schemas += 1
        self.run(f"CREATE SCHEMA s{self._schemas}")
        return f"s{self._schemas}"

    def rows(self, query: str) -> list[list[str]]:
        """What psql, which is none of ours, shows of a query."""
        return list(csv.reader(io.StringIO(self._psql("--csv", "-t", "-c", query), newline="")))

    def run(self, statements: str) -> None:
        """Statements for psql."""
        self._psql("-c", statements)

    def settings(self, schema: str, **more: Any) -> dict[str, Any]:
        """Those of a destination that lands in a schema."""
        return {"type": "postgres", "dsn": self.dsn(), "table": f"{schema}.events", "create": True, **more}

    def lines_by_key(self, schema: str) -> dict[str, bytes]:
        """By key of the ledger, the envelopes that its rows are; the tables were written to by one after the other."""
        rows = iter(self.rows(f"SELECT * FROM {schema}.events ORDER BY ctid"))
        keys = self.rows(f"SELECT key, rows FROM {schema}.conduit_batches ORDER BY written_at")
        found = {key: b"".join(_line(next(rows)) for _ in range(int(count))) for key, count in keys}
        assert next(rows, None) is None, "rows of no batch"
        return found

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of the driver, to hold transactions open with."""
        import asyncpg

        made = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=DATABASE, ssl=False
        )
        try:
            yield made
        finally:
            await made.close()

    def _psql(self, *arguments: str) -> str:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", DATABASE]
        done = subprocess.run(
            [self._binaries / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, *arguments],
            env={"PGPASSWORD": PASSWORD, "PGTZ": "UTC", "PATH": os.environ["PATH"]},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def _takes_connections(self) -> bool:
        where = ["-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run([self._binaries / "pg_isready", "-q", *where], check=False).returncode == 0


def _line(row: list[str]) -> bytes:
    if len(row) == 1:
        return f"{row[0]}\n".encode()
    event_id, pipeline_id, event_type, received_at, payload = row
    at = re.sub(r"(\S+) (\S+)\+00", r"\1T\2Z", received_at)
    return (
        f'{{"event_id":"{event_id}","pipeline_id":"{pipeline_id}","event_type":"{event_type}","received_at":"{at}"'
        f',"payload":{payload}}}\n'
    ).encode()


def _certify(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    key_file.chmod(0o600)


@contextmanager
def postgres_running() -> Iterator[PostgresServer]:
    """A server for a block."""
    binaries = programs()
    if binaries is None:
        missing("PostgreSQL is not installed: apt install postgresql")
    else:
        folder = Path(tempfile.mkdtemp(prefix="conduit-postgres-"))  # its owner could not get below pytest's own
        server = PostgresServer(folder, binaries)
        try:
            server.make()
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One that a worker's tests share; whoever kills it starts it again."""
    with postgres_running() as server:
        yield server
