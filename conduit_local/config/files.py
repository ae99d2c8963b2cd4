"""`pipelines/*.yaml`: one pipeline a file, maybe with tests; read whole, with every problem at its line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conduit_local.config.documents import Document, DocumentError, FileProblem, read_document
from conduit_local.core.errors import Invalid
from conduit_local.core.kinds import parse_spec
from conduit_local.core.problems import Problem
from conduit_local.core.spec import PipelineSpec

if TYPE_CHECKING:
    from conduit_local.config.cases import Case

FOLDER = "pipelines"
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineFiles:
    """What the folder says."""

    specs: dict[str, PipelineSpec] = field(default_factory=dict)
    """By file (relative to the configuration folder); those without a problem."""
    broken: frozenset[str] = frozenset()
    """The files that have one: their last good version stays."""
    problems: list[FileProblem] = field(default_factory=list)
    readable: bool = True
    """Whether the folder could be looked into; if not, nothing may be concluded from what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineFile:
    """What one file says."""

    document: Document
    spec: PipelineSpec
    cases: "tuple[Case, ...]"
    """Its tests; they are no part of the pipeline."""


class BrokenFile(Exception):
    """A pipeline file that cannot be used; `problems` says why, each with its line."""

    def __init__(self, problems: list[FileProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_pipeline(path: Path, name: str, model: type[PipelineSpec], environment: Mapping[str, str]) -> PipelineFile:
    """The pipeline in the file `path`, called `name` in messages. Raises: BrokenFile with every problem found."""
    try:
        document = read_document(path, name, environment, declares="variables")
    except DocumentError as error:
        raise BrokenFile([error.problem]) from error
    value = document.value
    problems: list[Problem] = []
    cases: tuple[Case, ...] = ()
    if isinstance(value, dict) and "tests" in value:
        from conduit_local.config.cases import cases_in, undeclared  # 15 ms that only files with tests need

        value, cases, problems = cases_in(value)
    try:
        spec = parse_spec(value, model)
        if cases:
            problems += undeclared(cases, spec)
    except Invalid as error:
        problems = [*error.problems, *problems]
    if problems:
        raise BrokenFile([document.problem(problem) for problem in problems])
    return PipelineFile(document=document, spec=spec, cases=cases)


def pipeline_paths(folder: Path) -> list[Path]:
    """The files in a folder that are pipelines', in order. Raises: OSError."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def read_pipelines(folder: Path, model: type[PipelineSpec], environment: Mapping[str, str]) -> PipelineFiles:
    """All pipeline files below the configuration folder `folder`."""
    place = folder / FOLDER
    try:
        paths = pipeline_paths(place)
    except FileNotFoundError:
        return PipelineFiles(readable=folder.is_dir())
    except OSError as error:
        problem = FileProblem(file=FOLDER, line=None, field="", message=f"cannot be read: {error.strerror}")
        return PipelineFiles(problems=[problem], readable=False)
    specs: dict[str, PipelineSpec] = {}
    broken: set[str] = set()
    problems: list[FileProblem] = []
    taken: dict[str, str] = {}
    for path in paths:
        name = f"{FOLDER}/{path.name}"
        try:
            file = read_pipeline(path, name, model, environment)
        except BrokenFile as error:
            found = error.problems
        else:
            spec = file.spec
            found = [
                file.document.problem(Problem(path=(what,), message=f"{value!r} is also in {taken[value]}"))
                for what, value in (("name", spec.name), ("id", spec.id))
                if value is not None and value in taken
            ]
        if found:
            broken.add(name)
            problems += found
        else:
            specs[name] = spec
            taken.update(dict.fromkeys([spec.name, spec.id] if spec.id else [spec.name], name))
    return PipelineFiles(specs=specs, broken=frozenset(broken), problems=problems)
