"""`demo`: the appliance on a throw-away data folder, with the sample pipelines, real events and live traffic."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conduit_local.cli.attach import Child, run_ui, start_appliance, ui_options
from conduit_local.cli.common import Failure, has_terminal

if TYPE_CHECKING:
    from conduit_local.cli.local_s3 import LocalS3

EXAMPLE_KEY = "ck_live_8Hx2Qm4Rt9Vn0Lb"
"""The key of the events API's examples; good enough for a folder that is thrown away, on loopback."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0: any that is free.")
@click.option("--headless", is_flag=True, help="Without the terminal UI.")
@click.option("--keep", is_flag=True, help="Keep the data folder, and say where it is.")
@click.option("--speed", type=click.FloatRange(min=0, max=100), default=1.0, show_default=True, help="Of the traffic.")
@click.option("--s3", is_flag=True, help="Land the clicks in a local S3 server too (extra `s3demo`).")
@ui_options
def demo(
    port: int, headless: bool, keep: bool, speed: float, s3: bool, read_only: bool, ascii_only: bool, rate: float | None
) -> None:
    """
    Run the appliance on a throw-away data folder, with the sample pipelines and live traffic.

    Earthquakes of a real week, orders and clicks; with the terminal UI where there is a terminal.
    """
    with _data_folder(keep) as data, _s3(data, s3) as server:
        config = sample_folder() if server is None else _with_s3(data)
        arguments = ["--port", str(port), "--data-dir", str(data), "--config-dir", str(config)]
        environment = {"CONDUIT_LOCAL_API_KEY": EXAMPLE_KEY, **os.environ, "CONDUIT_LOCAL_LOG_FILE": "appliance.log"}
        if server is not None:
            environment |= server.environment
        key = environment["CONDUIT_LOCAL_API_KEY"]
        child = start_appliance(arguments, environment)
        try:
            with _traffic(child, key, config, speed, None if keep else data):
                if headless or not has_terminal():
                    _headless(child, data, key, server)
                else:
                    run_ui(child.url, key, read_only=read_only, ascii_only=ascii_only, rate=rate)
        finally:
            child.stop()
        if keep:
            click.echo(f"kept: {data}")


@contextmanager
def _s3(data: Path, wanted: bool) -> "Iterator[LocalS3 | None]":
    """The S3 server, if one is wanted."""
    if not wanted:
        yield None
        return
    from conduit_local.cli.local_s3 import local_s3

    with local_s3(data / "s3") as server:
        yield server


def _with_s3(data: Path) -> Path:
    """The sample configuration with a route to the S3 server, in a folder of its own."""
    from conduit_local.cli.local_s3 import ROUTE

    config = data / "config"
    shutil.copytree(sample_folder(), config)
    with (config / "pipelines" / "clicks.yaml").open("a", encoding="utf-8") as file:
        file.write(ROUTE)
    return config


def sample_folder() -> Path:
    """The sample configuration: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parents[1]
    for folder in (package / "sample_data", package.parent / "sample_data"):
        if (folder / "pipelines").is_dir():
            return folder
    raise Failure("the sample data is not installed with this package")


@contextmanager
def _data_folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="conduit-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _traffic(child: Child, key: str, config: Path, speed: float, throw_away: Path | None) -> Iterator[None]:
    """
    Traffic from a process of its own, as real traffic is.

    It also notices when this process is gone without having tidied up (a closed terminal, a kill), and does so then.
    """
    command = [sys.executable, "-m", "conduit_local.cli.traffic", child.url, str(config / "events"), str(speed)]
    command += [str(child.process.pid), str(throw_away or "")]
    environment = {**os.environ, "CONDUIT_TOKEN": key}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _headless(child: Child, data: Path, key: str, server: "LocalS3 | None") -> None:
    """Say what to look at, and wait for the end."""
    click.echo(
        f"""conduit-local demo, without a terminal UI (there is no terminal here)

  listening on   {child.url}
  objects        {data}/out
  log            {data}/appliance.log{
            f'''
  S3             {server}'''
            if server
            else ""
        }

look at it from another shell:

  conduit-local status --watch --url {child.url} --key {key}
  conduit-local attach {child.url} --key {key}
  curl -s {child.url}/v1/events?limit=3 -H 'Authorization: Bearer {key}'
  find {data}/out -name '*.jsonl*'

SIGTERM or ctrl+c ends it, and the data folder goes."""
    )
    sys.stdout.flush()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        if child.process.poll() is not None:
            raise Failure(f"the appliance has ended with exit code {child.process.returncode}")
