"""`pipelines/*.yaml`: one pipeline a file, read whole, with every problem at its line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conduit_local.config.documents import DocumentError, FileProblem, read_document
from conduit_local.core.errors import Invalid
from conduit_local.core.kinds import parse_spec
from conduit_local.core.problems import Problem
from conduit_local.core.spec import PipelineSpec

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


def read_pipelines(folder: Path, model: type[PipelineSpec], environment: Mapping[str, str]) -> PipelineFiles:
    """All pipeline files below the configuration folder `folder`."""
    place = folder / FOLDER
    try:
        paths = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
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
            document = read_document(path, name, environment)
            spec = parse_spec(document.value, model)
        except DocumentError as error:
            found = [error.problem]
        except Invalid as error:
            found = [document.problem(problem) for problem in error.problems]
        else:
            found = [
                document.problem(Problem(path=(what,), message=f"{value!r} is also in {taken[value]}"))
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
