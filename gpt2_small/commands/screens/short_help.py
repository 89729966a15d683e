"""Print a command's help with a line for each option, so that it fits a screen."""

from typing import Any

from typer.core import TyperCommand


class ShortHelp(TyperCommand):
    """A command whose help has no boxes; the docstring's last paragraph comes last."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, what it does, the options, the example."""
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
