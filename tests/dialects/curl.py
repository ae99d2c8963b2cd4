"""What documents and pages print is run as it is printed, but for what stands for somebody's own host, key and ids."""

import re
import shutil
import subprocess
from collections.abc import Mapping

from tests.conftest import missing


def curl(command: str, ours: Mapping[str, str] | None = None) -> str:
    """What a printed command prints; `ours` has what to put in the place of each pattern."""
    if shutil.which("curl") is None:
        missing("the documents use curl; on Debian and Ubuntu: sudo apt install curl")
    for pattern, text in (ours or {}).items():
        command = re.sub(pattern, text, command)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def matches(shown: str, printed: str) -> bool:
    """Whether this is what is shown; `…` stands for anything on its line."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), printed) is not None


def steps(page: str) -> list[tuple[str, str]]:
    """The commands of a page's example, each with the JSON that is shown for it."""
    console = "".join(re.findall(r"```console\n(.*?)```", page, re.DOTALL))
    return re.findall(r"^\$ (.*?)\n([{\[][^\n]*[}\]])$", console, re.DOTALL | re.MULTILINE)
