"""Run `gpt2-small doctor`: show versions, devices, disk space and missing packages."""

import typer


def doctor() -> None:
    """Show versions, devices, disk space, and how to install missing packages.

    Exit codes: 0 nothing required is missing, 1 otherwise.

    Example: gpt2-small doctor
    """
    from rich.table import Table
    from rich.text import Text

    from gpt2_small.checker.learner.verdict_screen import console_for_learners
    from gpt2_small.commands.doctor_findings import all_findings

    console = console_for_learners()
    findings = all_findings()
    table = Table.grid(padding=(0, 2))
    styles = {"ok": "green", "optional": "yellow", "missing": "bold red"}
    for finding in findings:
        mark = Text(finding.state, style=styles[finding.state])
        table.add_row(mark, finding.subject, Text(finding.found))
    console.print(table)
    unmet = [finding for finding in findings if finding.state != "ok" and finding.fix]
    for finding in unmet:
        console.print()
        console.print(Text(f"{finding.subject}: {finding.found}."))
        console.print(Text(f"  {finding.fix}", style="bold"), soft_wrap=True)
    is_missing = any(finding.state == "missing" for finding in findings)
    console.print()
    console.print("Something is missing." if is_missing else "Everything needed is installed.")
    raise typer.Exit(1 if is_missing else 0)
