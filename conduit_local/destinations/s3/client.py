"""
botocore's client of S3, which signs, speaks XML and knows Amazon's endpoints.

botocore is imported when the first bucket is used, for it takes 250 ms; all clients share one session, whose models
take 14 MB. Of the environment and of ~/.aws nothing is read here: whose keys sign is for `credentials` to say, and
whoever makes a pipeline through an API must not send it with what else lies about on the appliance's machine.
"""

import importlib
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from conduit_local.destinations.s3.credentials import Identity
from conduit_local.destinations.s3.spec import S3Spec

_MAKING = threading.Lock()


def client_of(spec: S3Spec, identity: Identity, send: Callable[..., Any]) -> Any:
    """
    A client that asks for `spec`'s bucket as `identity`, once, over `send` (botocore's event `before-send`).

    Raises: botocore.exceptions.BotoCoreError, ValueError.
    """
    config = importlib.import_module("botocore.config")
    unsigned = importlib.import_module("botocore").UNSIGNED
    keys = identity.keys
    with _MAKING:
        client = _session().create_client(
            "s3",
            region_name=identity.region,
            endpoint_url=spec.endpoint_url,
            verify=True,
            aws_access_key_id=keys and keys.access_key_id,
            aws_secret_access_key=keys and keys.secret_access_key,
            aws_session_token=keys and keys.session_token,
            config=config.Config(
                signature_version="s3v4" if keys else unsigned,
                user_agent="conduit-local",
                retries={"mode": "standard", "total_max_attempts": 1},
                proxies={},
                ignore_configured_endpoint_urls=True,
                request_checksum_calculation="when_required",  # others than Amazon's servers choke on the new ones
                response_checksum_validation="when_required",
                s3={
                    "addressing_style": "path" if is_in_path(spec) else "virtual",
                    "payload_signing_enabled": True,
                    "us_east_1_regional_endpoint": "regional",
                },
            ),
        )
    client.meta.events.register("before-send.s3", send)
    client.meta.events.register("before-parameter-build.s3", _stay)
    return client


def is_in_path(spec: S3Spec) -> bool:
    """Whether the bucket is in the path, and not in the host's name."""
    return spec.path_style if spec.path_style is not None else spec.endpoint_url is not None or "." in spec.bucket


@cache
def _session() -> Any:
    """The one session: no variable of the environment, no profile, no credentials but those that a client is given."""
    botocore = importlib.import_module("botocore.session")
    defaults = {name: default for name, (_, _, default, _) in botocore.Session.SESSION_VARIABLES.items()}
    defaults |= {"config_file": os.devnull, "credentials_file": os.devnull}
    session = botocore.Session({name: (None, None, default, None) for name, default in defaults.items()})
    credentials = importlib.import_module("botocore.credentials")
    session.register_component("credential_provider", credentials.CredentialResolver([]))
    handlers = importlib.import_module("botocore.handlers")
    session.unregister("before-call.s3", handlers.add_expect_header)  # an exchange more for each object
    return session


def _stay(context: dict[str, Any], **_: Any) -> None:
    """Make botocore believe that it has sent this request anew to another region already: it does so once."""
    context["s3_redirect"]["redirected"] = True
