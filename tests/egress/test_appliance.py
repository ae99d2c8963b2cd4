"""The appliance's own place and settings decide which webhooks may be made (fault 17)."""

from pathlib import Path
from typing import Any

import pytest

from tests.appliance import ORDERS, Appliance, serving

ALWAYS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[fd00::1]/",
    "http://10.0.0.1/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://user:secret@example.com/",
    "ftp://example.com/",
]
LOOPBACK = ["http://127.0.0.1:8642/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]


def refusal(appliance: Appliance, url: str) -> Any:
    """Why a webhook was refused; None where it was made."""
    answer = appliance.ask("POST", "/webhooks", {"url": url, "events": ["pipeline.paused"]})
    if answer.status == 200:
        return None
    assert answer.status == 400, answer
    assert answer.json["error"]["code"] == "VALIDATION_ERROR"
    assert "url" in answer.body.decode()
    return answer.json["error"]


def test_on_loopback_its_own_machine_may_be_told_and_nothing_else_near(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance:
        for url in ALWAYS:
            assert refusal(appliance, url), url
        for url in LOOPBACK:
            assert refusal(appliance, url) is None, url
        assert len(appliance.ask("GET", "/webhooks").json["data"]["webhooks"]) == len(LOOPBACK)


@pytest.mark.parametrize(("networks", "opened"), [("[]", []), ("[10.0.0.0/8, 0.0.0.0/0]", ["http://10.0.0.1/"])])
def test_beyond_loopback_its_own_machine_is_refused_too(tmp_path: Path, networks: str, opened: list[str]) -> None:
    settings = f"allowed_networks: {networks}"
    with serving(tmp_path, {"orders": ORDERS}, "--host", "0.0.0.0", settings=settings) as appliance:  # noqa: S104
        for url in [*ALWAYS, *LOOPBACK]:
            assert (refusal(appliance, url) is None) == (url in opened), url
