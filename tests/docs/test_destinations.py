"""The destinations in the README: each configuration is run as it stands, against the real thing."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import parquet
from standardwebhooks import Webhook

from conduit_local.destinations.kinds import DESTINATIONS
from tests.appliance import KEY, Appliance
from tests.destinations.postgres_server import PostgresServer
from tests.destinations.s3_servers import Server
from tests.docs.parts import README
from tests.egress.receiver import Receiver, in_a_thread

SECTION = README.read_text().partition("### Destinations\n")[2].partition("\n### ")[0]
FILES = dict(re.findall(r"^```yaml\n# pipelines/(\S+)\.yaml\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE))
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ORDERS = [f"ord_{n}" for n in range(20)]


def test_every_kind_has_a_row_and_a_configuration() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE))
    configured = set(re.findall(r"type: (\w+)", "".join(FILES.values()))) - {"sql"}
    assert rows == configured == DESTINATIONS.keys() - {"connector"}


@contextmanager
def landed(folder: Path, name: str, **environment: str) -> Iterator[Appliance]:
    """An appliance that has landed twenty orders by the README's configuration of that name."""
    with Appliance(folder, {name: FILES[name]}, environment=environment) as appliance:
        events = [{"event_type": "order.created", "payload": {"orderId": order}} for order in ORDERS]
        assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
        assert appliance.ask("POST", f"/_local/pipelines/{name}/flush").status == 202
        appliance.until_delivered(name)
        yield appliance


def test_files(tmp_path: Path) -> None:
    with landed(tmp_path, "to-files") as appliance:
        (path,) = appliance.data.glob("out/to-files/dt=*/hour=*/*.csv.gz")
        rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    assert [json.loads(row["payload"])["orderId"] for row in rows] == ORDERS


def test_s3(tmp_path: Path, moto: Server) -> None:
    moto.client.create_bucket(Bucket="lake")
    keys = {"S3_URL": moto.url, "S3_KEY_ID": moto.access_key_id, "S3_SECRET": moto.secret_access_key}
    with landed(tmp_path, "to-s3", **keys):
        ((key, content),) = moto.objects("lake").items()
    assert re.fullmatch(r"raw/to-s3/dt=\d{4}-\d\d-\d\d/000000000001-000000000020\.parquet", key)
    payloads = parquet.read_table(io.BytesIO(content))["payload"].to_pylist()
    assert [json.loads(payload)["orderId"] for payload in payloads] == ORDERS


def test_http(tmp_path: Path) -> None:
    with in_a_thread(Receiver()) as receiver:
        environment = {"RECEIVER_URL": receiver.url, "SIGNING_SECRET": SIGNING_SECRET}
        with landed(tmp_path, "to-http", **environment):
            (request,) = receiver.got
    Webhook(SIGNING_SECRET).verify(request.body, request.headers, json_parse=False)
    assert [json.loads(line)["payload"]["orderId"] for line in request.body.splitlines()] == ORDERS


def test_another_appliance(tmp_path: Path) -> None:
    with (
        Appliance(tmp_path / "centre", {"collected": "name: collected\nid: pl_centre\n"}) as centre,
        landed(tmp_path / "edge", "to-centre", CENTRE_URL=centre.url, CENTRE_KEY=KEY),
    ):
        found = centre.ask("GET", "/v1/events?pipeline_id=pl_centre&order=oldest&include=payload&limit=100").json[
            "data"
        ]
    assert [(one["event_type"], one["payload"]["orderId"]) for one in found] == [
        ("order.created", order) for order in ORDERS
    ]


def test_postgres(tmp_path: Path, postgres: PostgresServer) -> None:
    postgres.run("DROP TABLE IF EXISTS public.orders, public.conduit_batches")
    with landed(tmp_path, "to-postgres", POSTGRES_DSN=postgres.dsn()):
        found = postgres.rows("SELECT payload->>'orderId' FROM public.orders ORDER BY event_id")
        ledger = postgres.rows("SELECT first_seq, last_seq, rows FROM public.conduit_batches")
    assert [order for (order,) in found] == ORDERS
    assert ledger == [["1", "20", "20"]]


def test_duckdb(tmp_path: Path) -> None:
    with landed(tmp_path, "to-duckdb") as appliance:
        path = appliance.data / "warehouse.duckdb"
    program = (
        "import duckdb, json, sys; db = duckdb.connect(sys.argv[1], read_only=True);"
        " print(json.dumps([one for one, in db.execute('SELECT order_id FROM orders ORDER BY event_id').fetchall()]))"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ORDERS
