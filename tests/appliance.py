"""An appliance as a process of its own, to talk to and to kill."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

KEY = "ck_live_8Hx2Qm4Rt9Vn0Lb"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json["error"]["code"])


class Appliance:
    """
    `conduit-local serve` in a process; started on entering, stopped softly on leaving.

    `pipelines` are written to its configuration folder by name.
    """

    def __init__(
        self,
        folder: Path,
        pipelines: Mapping[str, str] | None = None,
        *flags: str,
        settings: str = "",
        environment: Mapping[str, str] | None = None,
        data: Path | None = None,
        program: Sequence[str] = ("conduit_local",),
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.config = folder / "config"
        (self.config / "pipelines").mkdir(parents=True, exist_ok=True)
        for name, text in (pipelines or {}).items():
            self.write_pipeline(name, text)
        if settings:
            (self.config / "conduit-local.yaml").write_text(settings)
        self._flags = flags
        self._program = program
        self._environment = {**os.environ, "CONDUIT_LOCAL_API_KEY": KEY, **(environment or {})}
        self.log = folder / "appliance.log"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def write_pipeline(self, name: str, text: str) -> None:
        """Put a pipeline file in place, whole."""
        path = self.config / "pipelines" / f"{name}.yaml"
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)

    def start(self) -> None:
        """Start, and wait until it listens."""
        assert self.started(), self.log.read_text()

    def started(self) -> bool:
        """Start, and wait until it listens; False when it ended before that."""
        command = [sys.executable, "-m", *self._program, "serve", "--port", "0"]
        command += ["--data-dir", str(self.data), "--config-dir", str(self.config), *self._flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            self.process.communicate(timeout=30)
            return False
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return True

    def ended_within(self, seconds: float) -> bool:
        """Whether the process is gone within so long."""
        assert self.process is not None
        try:
            self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    @property
    def killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return self.process is not None and self.process.returncode == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        sent = {"Authorization": f"Bearer {key}"} if key else {}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            connection.request(method, path, content, {name: value for name, value in sent.items() if value})
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def emit(self, payload: object, key: str | None = None, pipeline: str = "pl_8f3a") -> Answer:
        """One event through S0."""
        body: dict[str, object] = {"pipeline_id": pipeline, "event_type": "order.created", "payload": payload}
        if key is not None:
            body["idempotency_key"] = key
        return self.ask("POST", "/v1/events", body)

    def raw(self, content: bytes, timeout_s: float = 15.0) -> bytes:
        """Send bytes as they are, read until the other side closes or has answered in full."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(content)
            return read_answer(connection)

    def snapshot(self) -> Any:
        """`/_local/snapshot`."""
        answer = self.ask("GET", "/_local/snapshot")
        assert answer.status == 200, answer
        return answer.json

    def pipeline(self, name: str) -> Any:
        """One pipeline of the snapshot."""
        return next(one for one in self.snapshot()["pipelines"] if name in {one["name"], one["id"]})

    def until(self, condition: Callable[[Any], bool], within_s: float = 20.0) -> Any:
        """Ask for snapshots until one fits."""
        end = time.monotonic() + within_s
        while not condition(found := self.snapshot()):
            assert time.monotonic() < end, found
        return found

    def until_delivered(self, name: str = "pl_8f3a", within_s: float = 20.0) -> None:
        """Until nothing of the pipeline is pending and its ledger closes."""
        end = time.monotonic() + within_s
        while (found := self.pipeline(name))["pending"]:
            assert time.monotonic() < end, found
        assert all(route["ledger"]["closes"] for route in found["destinations"])

    def rss_mib(self) -> float:
        """Resident memory."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def read_answer(connection: socket.socket) -> bytes:
    """All of one answer with a Content-Length; or whatever came before the other side closed."""
    found = b""
    while True:
        try:
            block = connection.recv(65_536)
        except ConnectionResetError:
            return found
        found += block
        head, end, body = found.partition(b"\r\n\r\n")
        if not block:
            return found
        if end:
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if lengths and len(body) >= int(lengths[0].split(b":")[1]) and not head.startswith(b"HTTP/1.1 100"):
                return found


@contextmanager
def serving(folder: Path, pipelines: Mapping[str, str], *flags: str, **options: Any) -> Iterator[Appliance]:
    """An appliance for a block; its log is printed when the block fails."""
    appliance = Appliance(folder, pipelines, *flags, **options)
    try:
        with appliance:
            yield appliance
    except BaseException:
        print(appliance.log.read_text() if appliance.log.exists() else "no log")
        raise


ORDERS = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 100, max_age: 200ms}
"""
