"""
The picture of `/docs` in the README, taken anew.

    python -m tests.openapi.picture
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.appliance import ORDERS, serving

PICTURE = Path(__file__).with_name("docs-page.png")
_SHOWN = "/docs"


def main() -> None:
    """Start an appliance, have Chromium look at it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("the picture is taken with Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "appliance", {"orders": ORDERS}) as running:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=30000"]
        flags += ["--window-size=1200,1140", f"--user-data-dir={folder}/profile", f"--screenshot={PICTURE}"]
        subprocess.run([browser, *flags, f"{running.url}{_SHOWN}"], check=True, capture_output=True, timeout=120)
    print(PICTURE)


if __name__ == "__main__":
    main()
