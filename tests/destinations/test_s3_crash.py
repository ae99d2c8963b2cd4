"""`kill -9` of a whole appliance while it lands in S3."""

import json
from pathlib import Path

from tests.appliance import serving
from tests.destinations.s3_servers import Server
from tests.proxy import HELD, PASS, Fault, proxied

_EVENTS = 48
_PADDING = "x" * 240_000
"""So that all the events together are three parts of 5 MiB and less."""


def pipeline(server: Server, url: str, bucket: str) -> str:
    return f"""
name: orders-stream
id: pl_8f3a
batch: {{max_events: {_EVENTS}, max_bytes: 60MiB, max_age: 1h}}
retry: {{initial: 50ms, max: 200ms}}
destinations:
  - type: s3
    bucket: {bucket}
    prefix: lake
    endpoint_url: {url}
    access_key_id: ${{LANDING_KEY_ID}}
    secret_access_key: ${{LANDING_SECRET}}
    part_size: 5MiB
"""


def test_killed_in_the_middle_of_the_parts_it_lands_once_and_leaves_no_parts(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    keys = {"LANDING_KEY_ID": moto.access_key_id, "LANDING_SECRET": moto.secret_access_key}
    key = f"lake/orders-stream/000000000001-{_EVENTS:012d}.jsonl"
    stuck: list[bytes] = []
    with (
        proxied(moto.port) as proxy,
        serving(tmp_path, {"orders": pipeline(moto, proxy.url, bucket)}, environment=keys) as appliance,
    ):

        def stick_at(part: bytes) -> None:
            def plan(_number: int, request: bytes) -> Fault:
                if part not in request.partition(b"\r\n")[0]:
                    return PASS
                stuck.append(part)
                return HELD

            proxy.plan = plan

        stick_at(b"partNumber=2")
        for number in range(_EVENTS):
            assert appliance.emit({"n": number, "padding": _PADDING}).status == 200
        appliance.until(lambda _: stuck == [b"partNumber=2"])
        appliance.kill()
        assert moto.uploads(bucket) == [key]
        stick_at(b"partNumber=3")
        appliance.start()
        appliance.until(lambda _: stuck[1:] == [b"partNumber=3"])
        appliance.kill()
        assert moto.uploads(bucket) == [key]
        proxy.plan = lambda _number, _request: PASS
        appliance.start()
        appliance.until_delivered()
        assert moto.uploads(bucket) == []
        ((found, content),) = moto.objects(bucket).items()
        assert found == key
        assert [json.loads(line)["payload"]["n"] for line in content.splitlines()] == list(range(_EVENTS))
        assert moto.secret_access_key.encode() not in appliance.log.read_bytes()
