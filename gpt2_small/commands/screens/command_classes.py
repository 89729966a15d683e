"""Define the commands' classes: errors that show the value, help with one line per option."""

import reprlib
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

# What a value must be, by the type of pydantic's error; the names are those of its context.
_WANTED = {
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of a usual size",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "greater_than": "above {gt:g}",
    "less_than": "below {lt:g}",
}


class Command(TyperCommand):
    """A command whose errors about numbers show the value that was given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a number that is not one raises BadParameter with it."""
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            invalid: list[dict[str, Any]]
            invalid = getattr(error.__cause__, "errors", list)()  # pydantic's ValidationError
            if invalid and (wanted := _WANTED.get(invalid[0]["type"])):
                bound = invalid[0].get("ctx", {})
                given = reprlib.repr(invalid[0]["input"])
                given = given.strip("'") if bound else given
                error.message = f"{given} is not {wanted.format(**bound)}"
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
