"""The command line. One file a verb; packages add verbs through the entry-point group `atlas.commands`.

Exit codes: 0 it holds, 1 it does not hold, 2 bad input or state, 130 interrupted.
"""

import importlib
import os
import sys
from importlib.metadata import entry_points

import click

from atlas.cli.terminal import report_error
from atlas.errors import AtlasError, Rejected

_VERBS = {
    "disclose": "atlas.cli.disclose:disclose",
    "evidence": "atlas.cli.evidence:evidence",
    "export": "atlas.cli.export:export",
    "explain": "atlas.cli.verify:explain",
    "gather": "atlas.cli.gather:gather",
    "import": "atlas.cli.importing:import_",
    "init": "atlas.cli.init:init",
    "keys": "atlas.cli.keys:keys",
    "lineage": "atlas.cli.lineage:lineage",
    "log": "atlas.cli.log:log",
    "show": "atlas.cli.show:show",
    "sign": "atlas.cli.sign:sign",
    "verify": "atlas.cli.verify:verify",
}


class _Verbs(click.Group):
    """Loads a verb when it is asked for, so that none pays for another's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_VERBS, *(each.name for each in entry_points(group="atlas.commands"))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if target := _VERBS.get(cmd_name):
            module, _, attribute = target.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        for each in entry_points(group="atlas.commands", name=cmd_name):
            try:
                loaded: click.Command = each.load()
            except ModuleNotFoundError as error:
                raise click.ClickException(
                    f"`atlas {cmd_name}` needs {error.name}: pip install 'atlas-provenance[demo]'"
                ) from error
            return loaded
        return None


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atlas-provenance", prog_name="atlas")
def atlas() -> None:
    """Know what every model is made of, and refuse the ones you cannot prove."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code. No traceback reaches a user."""
    try:
        code = atlas.main(arguments, prog_name="atlas", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except AtlasError as error:
        report_error(error, as_json="--json" in arguments)
        return 1 if isinstance(error, Rejected) else 2
    except click.exceptions.Abort:  # what click makes of Ctrl-C
        click.echo("atlas: interrupted; nothing was written", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has what it wanted
        return 0
    except Exception as error:  # a fault of Atlas itself; still nothing for a user to decipher
        if os.environ.get("ATLAS_DEBUG"):
            raise
        fault = f"a fault of Atlas itself: {type(error).__name__}: {error}"
        report_error(AtlasError(fault, mend="report it, with what ATLAS_DEBUG=1 prints"), as_json="--json" in arguments)
        return 2
