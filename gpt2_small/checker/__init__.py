"""Proof that a solution is GPT-2, and the name of the mistake when it is not.

The words:

part         a class or function of `solution.py` that a learner writes, in learning order
             (`parts.PARTS`). A part is judged with the reference in the place of all others.
check        `checks.Check`: a part, a sentence, and `observe(module, seed) -> Observation`, a plain
             function over a loaded module. It holds when what it observes equals what the same
             function observes on the reference (or `expect` states), within the entries'
             tolerances. `checks.checks_of(part)` gives them in the order in which they are run.
observation  `observation.Observation`: entries by name, each a tensor, a text, an estimate with
             its standard error, or counts of draws. Two observations have a distance.
mistake      `mistake.Mistake`: one edit of the reference's text, a sentence, three hints.
             `mistake.catalogue()` has them all, from `mistakes/<part>.py`, each a list MISTAKES.
             `mistake.build(*mistakes)` is the reference with the edits made.
naming       `naming.name(part, seen, seed)`: which mistake's, or pair of mistakes', observations
             are those of a file; if none, which inner activation is the first to differ.
judging      `judge.judge(module, part, seed)`: results of a part, in this process, nothing guarded;
             for modules that can be trusted, such as the reference and the mistakes.
worker       `worker.Checker`: the same for any file, in processes of its own, with limits. It is
             warm between calls: `watch` and `grade` keep one open.
verdict      `verdict.Verdict`: a file, its hash, a `Result` for each check; counts, exit code.
faces        `screen` (80 columns), `reports` (JSON, JUnit, Gradescope), the pytest plugin.

How the rest is built on this:

    from gpt2_small.checker.sandbox.client import Checker
    with Checker() as checker:                       # starts the server: torch is imported once
        verdict = checker.check(path)                # all parts; UserError: no file to check
        verdict = checker.check(path, parts=["LayerNorm"], seed=7, on_result=print)
    verdict.state_of("LayerNorm")                    # passed failed not_written waiting
    verdict.first_to_mend()                          # the part to show in full, or None
    mistake.find("attention-scale-d-model").hints    # three, from nudge to formula

`parts`, `mistake`, `verdict`, `screen`, `reports` and `worker`'s client side load no torch.

To add a mistake: append a `Mistake` to `mistakes/<part>.py`; `old` must stand in the reference
exactly once, inside the part or a helper of it, and be as short as it can, so that two mistakes can
be in one file. `equivalent=True` marks an edit that changes no behaviour and must be accepted. When
the part's checks do not reject it, add a check.
To add a check: a function of (module, seed) in `checks/<part>.py` that returns an observation, and
a `Check` in the file's CHECKS. It must see what distinguishes right from wrong, and nothing else:
what two right files may do differently is left out of the observation.
"""
