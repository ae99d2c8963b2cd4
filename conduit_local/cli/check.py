"""`check` and `schema`: configurations without a running appliance."""

import json
import os
from pathlib import Path
from typing import Any

import click

from conduit_local.cli.common import USAGE, Failure

SETTINGS = "conduit-local.yaml"


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Look at this data folder too.")
def check(path: Path | None, data_dir: Path | None) -> None:
    """
    Validate settings and pipelines, and the data folder.

    PATH is a configuration folder, its conduit-local.yaml or one pipeline file; left out, the folder that serve would
    use. Exit code 2 when anything is wrong; each problem is printed with its file and line.
    """
    from conduit_local.cli.serve import default_configuration_folder

    target = (path or default_configuration_folder()).absolute()
    if target.name == SETTINGS:
        target = target.parent
    problems, good = _check_file(target) if target.is_file() else _check_folder(target)
    if data_dir is not None:
        problems += _check_data(data_dir.absolute())
    for line in problems:
        click.echo(line, err=True)
    if problems:
        count = len(problems)
        raise Failure(f"{count} problem{'s' if count != 1 else ''} found", USAGE)
    click.echo(f"{target}: good; {len(good)} pipeline{'s' if len(good) != 1 else ''}: {', '.join(good) or 'none'}")


@click.command()
@click.argument("what", type=click.Choice(["pipeline", "settings"]), default="pipeline")
def schema(what: str) -> None:
    """
    Print the JSON Schema of a pipeline file, or of conduit-local.yaml.

    For an editor: put `# yaml-language-server: $schema=pipeline.schema.json` on top of the file.
    """
    from conduit_local.app import pipeline_model
    from conduit_local.config.schema import pipeline_schema, settings_schema

    found: dict[str, Any] = pipeline_schema(pipeline_model()) if what == "pipeline" else settings_schema()
    click.echo(json.dumps(found, indent=2))


def _check_file(path: Path) -> tuple[list[str], list[str]]:
    from conduit_local.app import pipeline_model
    from conduit_local.config.files import BrokenFile, read_pipeline

    try:
        return [], [read_pipeline(path, str(path), pipeline_model(), os.environ).spec.name]
    except BrokenFile as error:
        return [str(problem) for problem in error.problems], []


def _check_folder(folder: Path) -> tuple[list[str], list[str]]:
    from conduit_local.app import pipeline_model
    from conduit_local.config.files import read_pipelines
    from conduit_local.config.settings import InvalidSettings, load_settings

    problems: list[str] = []
    try:
        load_settings(folder, [], os.environ)
    except InvalidSettings as error:
        problems += map(str, error.problems)
    files = read_pipelines(folder, pipeline_model(), os.environ)
    problems += map(str, files.problems)
    return problems, [spec.name for spec in files.specs.values()]


def _check_data(folder: Path) -> list[str]:
    """Whether an appliance could start there; the folder is left as it is."""
    if not folder.exists():
        parent = next((one for one in folder.parents if one.exists()), None)
        if parent and not parent.is_dir():
            return [f"{folder}: cannot be made: {parent} is not a folder"]
        return [] if parent and os.access(parent, os.W_OK) else [f"{folder}: cannot be made: no permission"]
    if not folder.is_dir():
        return [f"{folder}: is not a folder"]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"{folder}: cannot be written to: no permission"]
    database = folder / "conduit.db"
    if not database.exists():
        return []
    from conduit_local.store.verify import problems_of_store

    return [f"{database}: {problem}" for problem in problems_of_store(database)]
