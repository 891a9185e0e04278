"""The command line. Commands are imported when they are asked for; faults become a message and an exit code here."""

import errno
from importlib import import_module
from typing import Any

import click

from runner.errors import RunnerError

# Name of the command -> its module under runner.cli, and the line that `trey --help` shows.
COMMANDS = {
    "run": ("lifecycle", "Execute the lifecycle; what is unchanged is skipped."),
    "resume": ("lifecycle", "Go on with a run at the first phase that did not succeed."),
    "plan": ("lifecycle", "Show phases, edges, gates, and what would run and why."),
    "params": ("params", "List the parameters of a notebook: name, type, default, allowed values, help."),
    "phase": ("lifecycle", "Execute one phase with given folders."),
    "runs": ("records", "List the runs, newest first."),
    "show": ("records", "Show what a run did and what came of it."),
    "report": ("records", "Write a run's report again and say where it is."),
    "models": ("delivery", "List the registered models: version, digest, champion marks, figures."),
    "decision": ("decision", "Tell whether a run may be released now, and what came of its releases."),
    "approve": ("sign_off", "Let a run's release into an environment, for some days, and say why."),
    "reject": ("sign_off", "Keep a run's model out of an environment, and say why."),
    "waive": ("sign_off", "Let a rule pass that had too little data to tell, and say why."),
    "release": ("release", "Release a run's model to an environment: the one door to it."),
    "smoke": ("smoke", "Ask an environment's live model whether it is up, and answers and refuses as it should."),
    "rollback": ("rollback", "Go back to what was live before, in one step."),
    "score": ("score", "Score an inventory with an environment's live model, whatever its size."),
    "azure": ("azure", "Look at an Azure ML workspace, or bring it to what the lifecycle needs."),
    "serve": ("delivery", "Serve the model that is live in an environment, until Ctrl-C."),
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of a first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"runner.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command an unknown name may have meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from runner.pipeline import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}; {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what went wrong into a message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except RunnerError as error:
            click.echo(f"trey: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo(f"trey: the disk is full: {error}\nnext: free some space, then trey runs", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("trey: interrupted\nnext: trey runs", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="trey", prog_name="trey")
def main() -> None:
    """From a notebook to production and back: runs the lifecycle, judges it, keeps the record.

    \b
    Example:
      trey run
    """
