"""`--help`, and what is typed wrongly."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from conduit_local import __version__
from conduit_local.cli.main import cli, command_table
from tests.cli.commands import command, process


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of each command and of each group."""
    context = click.Context(cli, info_name="conduit-local")
    for name in cli.list_commands(context):
        found = cli.get_command(context, name)
        yield (name,)
        if isinstance(found, click.Group):
            yield from ((name, inner) for inner in found.list_commands(context))


COMMANDS = list(every_command())


def test_the_installed_command_is_this_one() -> None:
    script = str(Path(sys.executable).with_name("conduit-local"))
    assert process("--version", program=(script,)).out == f"conduit-local, version {__version__}\n"


def test_help_lists_every_command_with_what_it_does() -> None:
    said = command("--help").out
    for name, (_, text) in command_table().items():
        assert f"  {name} " in said
        assert text.split(",")[0] in " ".join(said.split())
    assert command("-h").out == said


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_text_and_so_has_every_option(words: tuple[str, ...]) -> None:
    done = command(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: conduit-local {' '.join(words)} ")
    found: click.Command = cli
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    assert (found.help or "").strip()
    without = [one.name for one in found.params if isinstance(one, click.Option) and not one.help]
    assert set(without) <= SAY_IT_THEMSELVES, without


SAY_IT_THEMSELVES = {"limit", "state", "trigger", "scopes"}
"""Options whose name, values and default say all that a help text could."""


PROMISED = {
    "pipelines": {"list", "show", "apply", "pause", "resume", "drain", "flush", "delete", "test"},
    "events": {"send", "list", "show", "tail"},
    "runs": {"list", "show", "start", "cancel", "logs", "download"},
    "dead": {"list", "groups", "show", "edit", "replay", "discard", "export"},
    "keys": {"list", "create", "revoke"},
    "secrets": {"rotate"},
}


def test_what_the_table_promises_of_a_group_is_what_the_group_has() -> None:
    for group, verbs in PROMISED.items():
        assert {words[1] for words in COMMANDS if words[0] == group and len(words) == 2} == verbs
        text = command_table()[group][1].lower()
        assert all(verb in text for verb in verbs)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("pipline", "list"), "No such command 'pipline'. Did you mean 'pipelines'?"),
        (("frobnicate",), "No such command 'frobnicate'."),
        (("pipelines", "stop"), "No such command 'stop'."),
        (("status", "--jsno"), "No such option '--jsno'"),
        (("runs", "show"), "Missing argument 'RUN'"),
    ],
)
def test_what_is_typed_wrongly_exits_2_with_the_nearest_right_thing(args: tuple[str, ...], said: str) -> None:
    done = command(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: conduit-local")
    assert said in done.err
