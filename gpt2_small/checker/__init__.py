"""Prove that a solution is GPT-2, and name the mistake when it is not.

The words:

exercise set `exercise_set.ExerciseSet`: parts to write with their reference, claims, mistakes and
             hints; the fifteen parts of `solution.py` are one, every lesson is another.
part         a class or function of a reference that a learner writes. It is judged with the
             reference in the place of all others.
claim        `claims.Claim`: a part, a sentence, and `observe(module, seed)`, which runs beside the
             file's code and gives tensors and texts by name. What is expected (the reference,
             torch's own operation, a property) is compared elsewhere and sees nothing else.
observation  `claims.observing.observation.Observation`: entries by name, each a tensor or a text,
             and after the claim's summary an estimate with its standard error, or counts of draws.
mistake      `mistakes.mistake.Mistake`: one edit of the reference's text, a sentence, three hints.
             `mistakes.mistake.build(*mistakes)` is the reference with the edits made.
naming       `mistakes.matching.name_mistake`: which mistake's, or pair of mistakes', observations
             are those of a file.
sandbox      `sandbox.client.Checker` starts a server, which forks the judge and then a child for
             every part. The child runs the file and hands observations over; the judge, which
             never runs it, compares and names. It is warm between calls.
runner       `claims.judging.runner.judge(module, part, seed)`: the same in this process, nothing
             guarded; for modules that can be trusted, such as the reference and the mistakes.
verdict      `verdict.Verdict`: a file, its hash, a `Result` for each claim; counts, exit code.

How the rest is built on this:

    from gpt2_small.checker.sandbox.client import Checker
    with Checker() as checker:                       # starts the server: torch is imported once
        verdict = checker.check(path)                # all parts; UserError: no file to check
        verdict = checker.check(path, parts=["LayerNorm"], seed=7, on_result=print)
    verdict.state_of("LayerNorm")                    # passed failed not_written waiting
    verdict.first_to_mend()                          # the part to show in full, or None
    verdict.reason("LayerNorm")                      # why it does not hold, in a sentence

To add a mistake: append a `Mistake` to `mistakes/catalogue/<part>.py`; `old` must stand in the
reference exactly once, inside the part or a helper of it, and be as short as it can, so that two
mistakes can be in one file. `equivalent=True` marks an edit that changes no behaviour and must be
accepted. When the part's claims do not reject it, add a claim.
To add a claim: a function of (module, seed) in `claims/<part>.py` that returns tensors and texts,
and a `Claim` in the file's CLAIMS. It must see what distinguishes right from wrong, and nothing
else: what two right files may do differently is left out. Only float32 fails a part; what other
dtypes show is `required=False`, a remark. An error that a docstring promises is observed by its
type (`claims.observing.refusals`).
"""
