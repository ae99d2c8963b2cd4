"""`keys`: list, create, revoke API keys."""

import click

from conduit_local.cli.common import as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient

_SCOPES = ["ingest", "read", "manage", "admin"]
_PREFIXES = ["ck_live_", "bp_v1_", "df_key_"]


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("list")
@as_json
@reaches_appliance
def list_(client: ControlClient, json_: bool) -> None:
    """All keys, without their secrets."""
    found = client.keys()
    if json_:
        print_json(found)
        return
    print_table(
        ["ID", "NAME", "PREFIX", "SCOPES", "CREATED", "LAST USED", "STATE"],
        [
            (
                one["id"],
                one["name"],
                f"{one['prefix']}…",
                " ".join(one["scopes"]),
                one["created_at"],
                one["last_used_at"],
                "revoked" if one["revoked_at"] else "live",
            )
            for one in found
        ],
    )


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), default=["ingest"], show_default=True)
@click.option("--prefix", type=click.Choice(_PREFIXES), help="What it begins with; it works on every API all the same.")
@as_json
@reaches_appliance
def create(client: ControlClient, name: str, scopes: tuple[str, ...], prefix: str | None, json_: bool) -> None:
    """Make a key. Its secret is printed once, on standard output, and is not kept."""
    key = client.create_key(name, list(scopes), prefix)
    if json_:
        print_json(key)
        return
    click.echo(key["secret"])
    click.echo(f"{key['id']} ({name}): {' '.join(key['scopes'])}; the secret is not shown again", err=True)


@keys.command()
@click.argument("key_id", metavar="KEY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reaches_appliance
def revoke(client: ControlClient, key_id: str, yes: bool) -> None:
    """Make a key useless from now on. KEY is its id (key_…)."""
    if not yes:
        click.confirm(f"Revoke {key_id} on {client.url}?", abort=True)
    key = client.revoke_key(key_id)
    click.echo(f"{key['id']} ({key['name']}): revoked")
