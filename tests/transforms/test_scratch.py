"""The folder of files that live for a batch, beside what an appliance before us left behind."""

import threading
from pathlib import Path

import pytest

from conduit_local.transforms.scratch import emptied, fresh_names


@pytest.mark.parametrize("round_", range(5))
def test_a_folder_that_somebody_still_writes_to_is_emptied(tmp_path: Path, round_: int) -> None:
    child = tmp_path / f"child-{round_}"
    child.mkdir()
    (tmp_path / "content-1").write_bytes(b"left")
    begun = threading.Event()

    def write_on() -> None:
        try:
            for number in range(1_000_000):
                (child / f"spilled-{number % 7}").write_bytes(b"more")
                begun.set()
                (child / f"spilled-{number % 3}").unlink(missing_ok=True)
        except FileNotFoundError:  # the folder is gone
            return

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        assert begun.wait(30)
        assert emptied(tmp_path) == tmp_path.resolve()
        assert list(tmp_path.iterdir()) == []
    finally:
        writer.join(30)
    assert not writer.is_alive()


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child-1").mkdir()

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refused)
    with pytest.raises(PermissionError):
        emptied(tmp_path)


def test_no_two_appliances_give_the_same_name() -> None:
    one, other = fresh_names(), fresh_names()
    assert len({next(names) for names in (one, other) for _ in range(100)}) == 200
