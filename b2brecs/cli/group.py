"""What every command shares: the home it works in, and what an error means for the exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from b2brecs import errors

if TYPE_CHECKING:
    from b2brecs.workspace import Workspace

FAILED, WRONG, CANCELLED = 1, 2, 130
_WRONG = (
    errors.ConfigError, errors.NotFound, errors.VersionConflict, errors.InUse, errors.MissingExtra,
    errors.SecretNotFound,
)  # fmt: skip
_ADDRESS = re.compile(r"^(local$|local:|[a-z][a-z0-9+.-]+://)")


@dataclass(frozen=True)
class Options:
    """What stands before the command."""

    home: str
    debug: bool


class Commands(TyperGroup):
    """The top of all commands; turns errors into sentences on stderr and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (errors.Cancelled, KeyboardInterrupt) as error:
            _say(ctx, str(error) or "cancelled")
            raise typer.Exit(CANCELLED) from None
        except BrokenPipeError:
            # Whoever reads has enough; the interpreter must not complain while it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except errors.B2BRecsError as error:
            _say(ctx, str(error))
            raise typer.Exit(WRONG if isinstance(error, _WRONG) else FAILED) from None
        except (OSError, UnicodeError) as error:
            _say(ctx, str(error))
            raise typer.Exit(WRONG) from None


def _say(ctx: Any, text: str) -> None:
    if isinstance(ctx.obj, Options) and ctx.obj.debug:
        import traceback

        traceback.print_exc()
    typer.echo(text, err=True)


@contextmanager
def opened(context: typer.Context) -> Iterator[Workspace]:
    """Open the home that the options name."""
    from b2brecs.workspace import Workspace, connect

    home = context.obj.home
    with connect(home) if _ADDRESS.match(home) else Workspace.local(home) as workspace:
        yield workspace
