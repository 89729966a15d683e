"""Define the command `gpt2-small` and its subcommands."""

from typing import Annotated

from gpt2_small import __version__
from gpt2_small.interrupts import loading

with loading():
    import typer

    from gpt2_small.commands.doctor import doctor
    from gpt2_small.commands.learning.check import check
    from gpt2_small.commands.learning.grade import grade
    from gpt2_small.commands.learning.hint import hint
    from gpt2_small.commands.learning.show import show
    from gpt2_small.commands.learning.start import start
    from gpt2_small.commands.learning.variant import variant
    from gpt2_small.commands.learning.watch import watch
    from gpt2_small.commands.models.app import app as page
    from gpt2_small.commands.models.chat import chat
    from gpt2_small.commands.models.evaluate import evaluate
    from gpt2_small.commands.models.export import export
    from gpt2_small.commands.models.lm_eval import lm_eval
    from gpt2_small.commands.models.sample import sample
    from gpt2_small.commands.models.serve import serve
    from gpt2_small.commands.screens.command_classes import Command, ShortHelp
    from gpt2_small.commands.training.plan import plan
    from gpt2_small.commands.training.prepare import prepare
    from gpt2_small.commands.training.train import train
    from gpt2_small.entry_point import run_command

app = typer.Typer(
    name="gpt2-small",
    help="GPT-2 in eight proven parts: build it, check it, train it, sample from it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gpt2-small {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Define the options before a subcommand."""


app.command(cls=Command)(start)
app.command(cls=ShortHelp, context_settings={"allow_extra_args": True})(check)
app.command(cls=Command)(watch)
app.command(cls=Command)(hint)
app.command(cls=Command)(show)
app.command(cls=ShortHelp)(grade)
app.command(cls=ShortHelp)(prepare)
app.command(cls=ShortHelp)(train)
app.command(cls=ShortHelp)(sample)
app.command(cls=ShortHelp)(chat)
app.command(cls=ShortHelp)(evaluate)
app.command("lm-eval", cls=ShortHelp)(lm_eval)
app.command(cls=Command)(export)
app.command(cls=ShortHelp)(variant)
app.command("app", cls=ShortHelp)(page)
app.command(cls=ShortHelp)(serve)
app.command(cls=ShortHelp)(plan)
app.command(cls=Command)(doctor)


def main() -> None:
    """Run `gpt2-small` with the arguments of the process."""
    run_command(app)
