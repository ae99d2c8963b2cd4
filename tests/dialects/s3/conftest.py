"""One appliance for most of S3's tests; each makes pipes of its own."""

from collections.abc import Iterator

import pytest

from tests.appliance import ORDERS, Appliance, serving
from tests.destinations.postgres_server import postgres
from tests.destinations.s3_servers import moto
from tests.dialects.s3.asking import PROXY

__all__ = ["appliance", "moto", "postgres"]

PIPELINES = {"orders": ORDERS, "strict": "name: strict\nidempotency: strict\n"}
SETTINGS = f"rate_limit: {{requests: 1000000, per_s: 1}}\ntrusted_proxies: [{PROXY}/32]\n"


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("s3"), PIPELINES, "--testing", settings=SETTINGS) as running:
        yield running
        assert "Traceback" not in running.log.read_text()
