"""Saving what the appliance sends as a file."""

import sys
from pathlib import Path

import click

from conduit_local.cli.common import F, Failure
from conduit_local.client.wire import Download
from conduit_local.core.units import size_text


def saves(function: F) -> F:
    """The options `--output` and `--force`."""
    output = click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; - is standard output.")
    return output(click.option("--force", is_flag=True, help="Replace a file that is there.")(function))


def save(found: Download, output: Path | None, *, force: bool) -> None:
    """Write it whole or not at all, named as the appliance says where nothing else is asked for; say where it is."""
    if output == Path("-"):
        for piece in found:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    name = Path(found.name).name
    target = output / name if output is not None and output.is_dir() else output or Path(name)
    if target.exists() and not force:
        raise Failure(f"{target} is there already; --force replaces it")
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            size = sum(map(file.write, found))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{target}: {size_text(size)}")
