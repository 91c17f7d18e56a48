"""``b2brecs secrets``: store and remove secrets; nothing prints one."""

from __future__ import annotations

from typing import Annotated

import typer

from b2brecs.cli.group import opened
from b2brecs.cli.output import Name
from b2brecs.errors import ConfigError

app = typer.Typer(help="Store and remove secrets.", no_args_is_help=True)


@app.command()
def put(
    context: typer.Context,
    reference: Name,
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read it from stdin instead of asking.")] = False,
) -> None:
    """Store or replace a secret, such as keyring:erp. It is asked for, and never an argument."""
    value = None
    if stdin:
        value = typer.get_text_stream("stdin").read()
        # What `echo` and files end with is no part of a secret.
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            raise ConfigError.single("secrets put", "--stdin", "", "nothing was read.", "Pipe the secret in.")
    with opened(context) as ws:
        kept = ws.secrets.put(reference, value)
    typer.echo(f"{kept.reference} stored")


@app.command()
def delete(context: typer.Context, reference: Name) -> None:
    """Remove a secret, if it is there."""
    with opened(context) as ws:
        ws.secrets.delete(reference)
    typer.echo(f"{reference} removed")
