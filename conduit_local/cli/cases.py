"""`pipelines test`: runs the tests that stand in pipeline files; needs no appliance."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conduit_local.cli.common import FAILED, USAGE, Failure, as_json, print_json
from conduit_local.core.plain import plain

if TYPE_CHECKING:
    from conduit_local.config.cases import Case, Difference
    from conduit_local.config.files import PipelineFile
    from conduit_local.core.transforming import Transforms

Json = dict[str, Any]


@click.command()
@click.argument("paths", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@as_json
def test(paths: tuple[Path, ...], json_: bool) -> None:
    """
    Run the tests of pipeline files: sample events through the transforms, and what is other than expected.

    FILE may be a folder; left out, the pipelines of the configuration folder that serve would use. Nothing is sent and
    no appliance is needed. Exit code 1 when a test failed, 2 when a file is wrong.
    """
    import asyncio

    files, problems = _read(list(_files(paths)))
    results = asyncio.run(_tested(files, problems))
    if json_:
        print_json(results)
    else:
        for one in results:
            _print(one)
    for line in problems:
        click.echo(plain(line), err=True)
    if problems:
        raise Failure(f"{_count(len(problems), 'problem')} found", USAGE)
    cases = [case for one in results for case in one["tests"]]
    failed = sum(not case["ok"] for case in cases)
    if failed:
        raise Failure(f"{failed:,} of {_count(len(cases), 'test')} failed", FAILED)
    if not json_:
        click.echo(f"{_count(len(cases), 'test')} passed" if cases else "no tests")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The pipeline files that are meant."""
    from conduit_local.cli.serve import default_configuration_folder
    from conduit_local.config.files import FOLDER, pipeline_paths

    for path in paths or (default_configuration_folder(),):
        if path.is_file():
            yield path
            continue
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        try:
            found = pipeline_paths(folder)
        except OSError as error:
            raise Failure(f"{folder}: cannot be read: {error.strerror}", USAGE) from error
        if not found:
            raise Failure(f"{folder}: no pipeline files here", USAGE)
        yield from found


def _read(paths: Sequence[Path]) -> tuple[list["PipelineFile"], list[str]]:
    """Those that can be used, and what is wrong with the others."""
    from conduit_local.app import pipeline_model
    from conduit_local.config.files import BrokenFile, read_pipeline

    model = pipeline_model()
    files: list[PipelineFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            files.append(read_pipeline(path, str(path), model, os.environ))
        except BrokenFile as error:
            problems += map(str, error.problems)
    return files, problems


async def _tested(files: Sequence["PipelineFile"], problems: list[str]) -> list[Json]:
    """What came of each file's tests; what a query is refused for is a problem of its file."""
    from conduit_local.config.trying import trial
    from conduit_local.core.errors import Invalid

    results: list[Json] = []
    async with trial() as transforms:
        for file in files:
            try:
                tests = [await _one(transforms, file, case) for case in file.cases]
            except Invalid as error:
                problems += [str(file.document.problem(problem)) for problem in error.problems]
                continue
            results.append({"file": file.document.file, "pipeline": file.spec.name, "tests": tests})
    return results


async def _one(transforms: "Transforms", file: "PipelineFile", case: "Case") -> Json:
    from conduit_local.config.cases import differences
    from conduit_local.config.trying import try_out
    from conduit_local.core.errors import TransformUnavailable

    try:
        tried = await try_out(transforms, file.spec, case.samples(), case.variables)
    except TransformUnavailable as error:
        return {"name": case.name, "ok": False, "differences": [{"about": "", "message": error.message}]}
    found = differences(case, tried)
    return {"name": case.name, "ok": not found, "differences": [_as_json(one) for one in found]}


def _as_json(one: "Difference") -> Json:
    said = {"about": one.about, "message": one.message, "expected": one.expected, "got": one.got}
    return {name: value for name, value in said.items() if value is not None}


def _print(result: Json) -> None:
    from conduit_local.config.cases import shown

    click.echo(f"{plain(result['file'])}: {result['pipeline']}{'' if result['tests'] else ' has no tests'}")
    for case in result["tests"]:
        click.echo(f"  {'ok  ' if case['ok'] else 'FAIL'}  {plain(case['name'])}")
        for one in case["differences"]:
            first, *rest = one["message"].splitlines() or [""]
            click.echo(f"        {one['about']}{': ' if one['about'] else ''}{plain(first)}")
            for line in rest:
                click.echo(f"          {plain(line)}")
            for name in ("expected", "got"):
                if name in one:
                    click.echo(f"          {name:<8}  {plain(shown(one[name]))}")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
