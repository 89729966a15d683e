"""Define shared flags: sampling, device, solution."""

from pathlib import Path
from typing import Annotated

import typer

Temperature = Annotated[float, typer.Option(help="Softmax temperature; 0 is greedy.", metavar="T")]
TopK = Annotated[int | None, typer.Option(help="Draw from the K most likely tokens.", metavar="K")]
TopP = Annotated[
    float | None, typer.Option(help="Draw from the likeliest tokens, up to mass P.", metavar="P")
]
MinP = Annotated[
    float | None, typer.Option(help="Drop tokens below P times the likeliest.", metavar="P")
]
RepetitionPenalty = Annotated[
    float, typer.Option(help="Values above 1 reduce repetition.", metavar="X")
]
Stop = Annotated[
    list[str] | None, typer.Option(help="Stop before this text; repeatable.", metavar="TEXT")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or mps (default: the best).", metavar="D")
]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.", metavar="T")]
Solution = Annotated[
    Path | None, typer.Option(help="Your own file instead of the reference.", metavar="FILE")
]
