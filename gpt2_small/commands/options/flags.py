"""Define the flags that commands share: sampling, device, solution."""

from pathlib import Path
from typing import Annotated

import typer

Temperature = Annotated[float, typer.Option(help="Higher is wilder, 0 is greedy.", metavar="T")]
TopK = Annotated[int | None, typer.Option(help="Draw from the K most likely tokens.", metavar="K")]
TopP = Annotated[
    float | None, typer.Option(help="Draw from the likeliest tokens that make up P.", metavar="P")
]
MinP = Annotated[
    float | None, typer.Option(help="Leave out tokens below P times the likeliest.", metavar="P")
]
RepetitionPenalty = Annotated[float, typer.Option(help="Above 1 repeats less.", metavar="X")]
Stop = Annotated[
    list[str] | None, typer.Option(help="End before this text; may be repeated.", metavar="TEXT")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default: the best one.", metavar="D")
]
Solution = Annotated[
    Path | None, typer.Option(help="Your own file instead of the reference.", metavar="FILE")
]
