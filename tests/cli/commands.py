"""Commands as people give them: in this process where speed counts, in one of their own where that is the point."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conduit_local.cli.common import run_cli
from conduit_local.cli.main import cli
from tests.appliance import KEY, Appliance


class Done(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document; NaN and Infinity are none."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def command(*args: str, stdin: bytes = b"") -> Done:
    """A command in this process, which has no terminal."""
    out, err, given = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_cli(cli, args)
    finally:
        sys.stdin = given
    return Done(code, out.getvalue(), err.getvalue())


def process(
    *args: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    folder: Path | None = None,
    program: tuple[str, ...] = (sys.executable, "-m", "conduit_local"),
) -> Done:
    """A command in a process of its own; whatever happens, no stack trace is shown."""
    done = subprocess.run(
        [*program, *args],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        check=False,
        timeout=30,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def running(
    *args: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A command that runs until it is told to end, and the URL that it says it listens on."""
    with tempfile.TemporaryFile("w+") as errors:
        started = subprocess.Popen(
            [sys.executable, "-m", "conduit_local", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
        try:
            assert started.stdout is not None
            said = next((line for line in started.stdout if "listening on" in line), "")
            errors.seek(0)
            assert said, errors.read()
            yield started, said.split()[-1]
        finally:
            started.terminate()
            started.communicate(timeout=30)
            errors.seek(0)
            assert "Traceback" not in errors.read()


class Operator:
    """Somebody who gives commands to one appliance."""

    def __init__(self, appliance: Appliance, key: str = KEY) -> None:
        self.appliance = appliance
        self._who = ("--url", appliance.url, "--key", key)

    def __call__(self, *args: str, stdin: bytes = b"") -> Done:
        """A command, whatever comes of it."""
        return command(*args, *self._who, stdin=stdin)

    def ok(self, *args: str, stdin: bytes = b"") -> str:
        """A command that succeeds, and says nothing but what it returns here."""
        done = self(*args, stdin=stdin)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def json(self, *args: str) -> Any:
        """What a command says with `--json`."""
        done = self(*args, "--json")
        assert (done.code, done.err) == (0, ""), done
        return done.json

    def table(self, *args: str) -> list[list[str]]:
        """The table that a command prints, word by word: head and rows."""
        return [line.split() for line in self.ok(*args).splitlines()]
