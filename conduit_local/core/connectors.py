"""Connectors that a configuration names and this appliance does not have."""


def no_connector(name: str, role: str, example: str) -> str:
    """What to do about it, for people; `role` is `sources` or `destinations`."""
    return (
        f"the connector {name!r} is not built in and has no stand-in; name one in conduit-local.yaml: "
        f"stand_ins: {{{role}: {{{name}: {example}}}}}"
    )
