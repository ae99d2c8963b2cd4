from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Refused, Unavailable


def leaves(kind: type[ConduitError]) -> set[type[ConduitError]]:
    below = {inner for inner in kind.__subclasses__() if inner.__module__ == errors.__name__}
    return {kind} if not below else {leaf for inner in below for leaf in leaves(inner)}


def test_every_error_belongs_to_one_of_three_families() -> None:
    for leaf in leaves(ConduitError):
        assert sum(issubclass(leaf, family) for family in (Refused, Unavailable, Broken)) == 1, leaf


def test_codes_are_stable_and_told_apart() -> None:
    codes = {leaf.code for leaf in leaves(ConduitError)}
    assert {"invalid_json", "payload_too_large", "unauthorized", "rate_limited", "pipeline_not_found"} <= codes
    assert {"pipeline_not_accepting", "store_unavailable", "quota_spent", "name_taken"} <= codes


def test_the_tree_on_top_of_the_file_names_every_error() -> None:
    drawn = errors.__doc__ or ""
    for leaf in leaves(ConduitError):
        assert leaf.__name__ in drawn, f"{leaf.__name__} is not in the tree"
