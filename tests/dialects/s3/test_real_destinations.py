"""S3.2, S3.3: destinations beyond files are real ones here, too: a bucket, a PostgreSQL table."""

import json
from typing import Any

from conduit_local.dialects.s3 import told
from tests.appliance import Appliance
from tests.destinations.postgres_server import PostgresServer
from tests.destinations.s3_servers import Server
from tests.dialects.s3.asking import PIPES, accepted, flushed, good, make, refused


def pipe_to(appliance: Appliance, kind: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A pipe with this destination alone, and the destination as it is shown."""
    destination = {"destination_type": kind, "destination_name": "there", "destination_config": config}
    made = make(appliance, destinations=[destination])
    return made["pipe_id"], made["destinations"][0]


def test_s3_2_a_pipe_lands_in_a_bucket_and_holds_while_it_is_blocked(appliance: Appliance, moto: Server) -> None:
    bucket = moto.new_bucket()
    config = {
        "bucket": bucket,
        "endpoint_url": moto.url,
        "access_key_id": moto.access_key_id,
        "secret_access_key": moto.secret_access_key,
    }
    pipe, shown = pipe_to(appliance, "s3", config)
    assert shown["destination_config"]["secret_access_key"] == "[redacted]"
    there = f"{PIPES}/{pipe}/destinations/{shown['destination_id']}"
    good(appliance.ask("PATCH", f"{there}/status", {"destination_status": "blocked"}), 200, told.DestinationAnswer)
    accepted(appliance, pipe, [{"n": 1}, {"n": 2}])
    assert moto.objects(bucket) == {}
    good(appliance.ask("PATCH", f"{there}/status", {"destination_status": "active"}), 200, told.DestinationAnswer)
    flushed(appliance, pipe, "there")
    (content,) = moto.objects(bucket).values()
    assert [json.loads(line)["payload"] for line in content.splitlines()] == [{"n": 1}, {"n": 2}]


def test_s3_2_a_pipe_lands_in_a_table(appliance: Appliance, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    config = {"dsn": postgres.dsn(), "table": f"{schema}.events", "create": True}
    pipe, shown = pipe_to(appliance, "postgres", config)
    assert shown["destination_config"]["dsn"] == "[redacted]"
    accepted(appliance, pipe, [{"n": 1}, {"n": 2}])
    flushed(appliance, pipe, "there")
    found = postgres.rows(f"SELECT payload->>'n' FROM {schema}.events ORDER BY event_id")
    assert found == [["1"], ["2"]]


def test_s3_5_a_bucket_of_the_appliances_own_keys_is_refused(appliance: Appliance) -> None:
    destination = {"destination_type": "s3", "destination_config": {"bucket": "lake"}}
    answer = appliance.ask("POST", PIPES, {"pipe_name": "Lake", "destinations": [destination]})
    assert "destinations.0.destination_config.access_key_id" in refused(answer, 400, "validation_error")["errors"]
