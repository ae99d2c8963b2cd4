"""`dead`: list, groups, show, edit, replay, discard, export."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from conduit_local.cli.common import (
    USAGE,
    F,
    Failure,
    as_json,
    print_json,
    print_table,
    reaches_appliance,
    read_json,
)
from conduit_local.cli.runs import ended
from conduit_local.cli.saving import save, saves
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain, plain_lines

_STAGES = click.Choice(["extract", "transform", "load"])
_PAGE = 1_000
Json = dict[str, Any]


@click.group()
def dead() -> None:
    """Dead letters: events that were refused for good, and input that is no event."""


def _which(function: F) -> F:
    """The options that say which dead letters."""
    options: tuple[Callable[[F], F], ...] = (
        click.option("--pipeline", help="Of this pipeline only: its name, id or UUID."),
        click.option("--destination", help="Those that this destination lacks."),
        click.option("--stage", type=_STAGES, help="Those that died there."),
        click.option("--reason", help="Those of this reason, as `dead groups --json` has it."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _chosen(function: F) -> F:
    """LETTER..., or the options that say which, or `--all`."""
    function = click.option("--all", "all_", is_flag=True, help="All of the pipeline.")(function)
    return click.argument("letters", nargs=-1, metavar="[LETTER]...")(_which(function))


@dead.command("list")
@_which
@click.option("--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True)
@as_json
@reaches_appliance
def list_(client: ControlClient, json_: bool, **query: Any) -> None:
    """The newest dead letters."""
    page = client.dead(**query)
    if json_:
        print_json(page)
        return
    print_table(
        ["LETTER", "DIED", "PIPELINE", "DESTINATION", "STAGE", "TIMES", "EVENT OR ORIGIN", "ERROR"],
        [
            (
                one["id"],
                one["at"],
                one["pipeline"],
                one["destination"],
                one["stage"],
                one["attempts"],
                one["event_id"] or one["origin"],
                f"being replayed by {one['replaying']}" if one["replaying"] else _first_line(one["error"]),
            )
            for one in page["data"]
        ],
        right=("TIMES",),
    )
    if page["has_more"]:
        click.echo("… and more; --limit shows more, --json gives the cursor")


@dead.command()
@_which
@as_json
@reaches_appliance
def groups(client: ControlClient, json_: bool, **query: Any) -> None:
    """Dead letters by pipeline, destination, stage and reason; the most first."""
    found = client.dead_groups(**query)
    if json_:
        print_json(found)
        return
    print_table(
        ["COUNT", "PIPELINE", "DESTINATION", "STAGE", "FIRST", "LAST", "NEWEST", "REASON"],
        [
            (
                f"{one['count']:,}",
                one["pipeline"],
                one["destination"],
                one["stage"],
                one["first_at"],
                one["last_at"],
                one["example"],
                one["reason"],
            )
            for one in found
        ],
        right=("COUNT",),
    )


@dead.command()
@click.argument("letter")
@as_json
@reaches_appliance
def show(client: ControlClient, letter: str, json_: bool) -> None:
    """One dead letter: why it died, and what it holds."""
    found = client.dead_letter(letter)
    if json_:
        print_json(found)
        return
    for name, value in found.items():
        if value is not None and not name.startswith("payload"):
            click.echo(f"{name + ':':<13}{plain(str(value))}")
    payload = found["payload"]
    if found["payload_kind"] == "json":
        payload = json.dumps(payload, ensure_ascii=False, indent=2)
    click.echo(f"\n{plain_lines(payload)}")


@dead.command()
@click.argument("letter")
@click.option("--payload", help="The payload, a JSON object.")
@click.option("--file", type=click.File("rb"), help="A file with the payload; - is standard input.")
@click.option("--type", "type_", help="The event's type; only for input that never was an event.")
@as_json
@reaches_appliance
def edit(client: ControlClient, letter: str, payload: str | None, file: Any, type_: str | None, json_: bool) -> None:
    """Give a dead letter another payload. It stays dead until it is replayed."""
    if (payload is None) == (file is None):
        raise Failure("give the payload by --payload or by --file", USAGE)
    content: bytes = file.read() if payload is None else os.fsencode(payload)
    try:
        read_json(content)
    except ValueError as error:
        raise Failure(f"the payload is not JSON: {error}", USAGE) from error
    found = client.edit_dead(letter, content, type_)
    if json_:
        print_json(found)
    else:
        click.echo(f"{found['id']} of {plain(found['pipeline'])}: edited; conduit-local dead replay {found['id']}")


@dead.command()
@_chosen
@click.option("--wait", type=float, metavar="SECONDS", help="Wait until it is done; fail where some died again.")
@as_json
@reaches_appliance
def replay(client: ControlClient, wait: float | None, json_: bool, **chosen: Any) -> None:
    """Deliver dead letters once more, by the transforms of now: each LETTER, or those that the options name."""
    answer = client.replay_dead(**_wanted(**chosen))
    if wait is not None:
        for one in answer["replays"]:
            one["run"] = ended(client, one["run"], wait)
            one["died_again"] = _died_again(client, one["run"])
    if json_:
        print_json(answer)
    else:
        for one in answer["replays"]:
            run = one["run"]
            letters, left = one["letters"], f"; {one['left']:,} are left" if one["left"] else ""
            click.echo(f"{plain(run['pipeline'])}: run {run['id']} {run['state']}: {_many(letters)}{left}")
    problems = [f"{one['pipeline']}: {one['message']}" for one in answer["refused"]]
    for one in answer["replays"] if wait is not None else []:
        run = one["run"]
        if run["state"] != "success":
            problems.append(f"the run {run['id']} has {run['state']}{': ' + run['error'] if run['error'] else ''}")
        if one["died_again"]:
            problems.append(f"{one['died_again']:,} of {_many(one['letters'])} died again in {run['id']}")
    if problems:
        raise Failure(plain("; ".join(problems)))


@dead.command()
@_chosen
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@reaches_appliance
def discard(client: ControlClient, yes: bool, json_: bool, **chosen: Any) -> None:
    """Drop dead letters for good: each LETTER, or those that the options name."""
    wanted = _wanted(**chosen)
    if not yes:
        click.confirm(f"Discard {_described(client, wanted)} on {client.url} for good?", abort=True)
    answer = client.discard_dead(**wanted)
    if json_:
        print_json(answer)
    else:
        click.echo(f"{_many(answer['discarded'])} discarded")
    if answer["refused"]:
        raise Failure(plain("; ".join(f"{one['pipeline']}: {one['message']}" for one in answer["refused"])))


@dead.command()
@_which
@saves
@reaches_appliance
def export(client: ControlClient, output: Path | None, force: bool, **query: Any) -> None:
    """Save dead letters, each whole on a line of JSON."""
    with closing(client.export_dead(**query)) as found:
        save(found, output, force=force)


def _wanted(letters: tuple[str, ...], all_: bool, **which: str | None) -> Json:
    """What is asked of the appliance; never all of a pipeline without that being said."""
    pipeline, narrowed = which["pipeline"], any(which[name] for name in ("destination", "stage", "reason"))
    if letters and (all_ or pipeline or narrowed):
        raise Failure("name letters, or options that choose some, not both", USAGE)
    if letters:
        return {"ids": list(letters)}
    if not pipeline:
        raise Failure("name letters, or a --pipeline", USAGE)
    if all_ == narrowed:
        raise Failure("say --all, or which: --destination, --stage, --reason", USAGE)
    return {**which, "all": True} if all_ else which


def _described(client: ControlClient, wanted: Json) -> str:
    """What is about to happen to what, for a question."""
    if "ids" in wanted:
        return ", ".join(map(plain, wanted["ids"]))
    which = {name: value for name, value in wanted.items() if name != "all" and value is not None}
    count = sum(one["count"] for one in client.dead_groups(**which))
    narrowed = "".join(f", {name} {plain(value)}" for name, value in which.items() if name != "pipeline")
    return f"{_many(count)} of {plain(which['pipeline'])}{narrowed}"


def _died_again(client: ControlClient, run: Json) -> int:
    """How many died in this run."""
    count = 0
    cursor: str | None = None
    while True:
        page = client.dead(pipeline=run["pipeline_id"], limit=_PAGE, cursor=cursor)
        count += len([one for one in page["data"] if one["run_id"] == run["id"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return count


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _many(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"
