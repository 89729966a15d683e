"""Define the commands' classes: errors that show the value, help with one line per option."""

from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

_KINDS = {"int_parsing": "an integer", "float_parsing": "a number"}


class Command(TyperCommand):
    """A command whose errors about numbers show the value that was given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; an option that is no number raises BadParameter with its value."""
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            invalid: list[dict[str, Any]]
            invalid = getattr(error.__cause__, "errors", list)()  # pydantic's ValidationError
            if invalid and (kind := _KINDS.get(invalid[0]["type"])):
                error.message = f"{invalid[0]['input']!r} is not {kind}"
            raise


class ShortHelp(Command):
    """A command with plain help; the docstring's last paragraph is printed last."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, description, options and example."""
        about, _, example = (self.help or "").rpartition("\n\n")
        rows = [
            record
            for parameter in self.get_params(ctx)
            if "--help" not in parameter.opts
            and (record := parameter.get_help_record(ctx)) is not None
        ]
        formatter.write(f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}\n")
        formatter.write(f"{about}\n\n")
        formatter.write_dl(rows)
        formatter.write(f"\n{example}\n")
