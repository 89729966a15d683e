"""Print a command's help with one line per option."""

from typing import Any

from typer.core import TyperCommand


class ShortHelp(TyperCommand):
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
