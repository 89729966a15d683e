"""Prove that a solution is GPT-2, and name the mistake when it is not.

Terms:

exercise set `exercise_set.ExerciseSet`: parts to write with their reference, claims, mistakes and
             hints; the fifteen parts of `solution.py` are one, every lesson is another.
part         a class or function of a reference that a learner writes. It is judged with the
             reference's other parts.
claim        `claims.Claim`: a part, a sentence, and `observe(module, seed)`, which runs beside the
             file's code and returns tensors and texts by name. Another process compares
             them with the expectation: the reference, torch's operation, or a property.
observation  `claims.observing.observation.Observation`: entries by name, each a tensor or a text,
             or, after the claim's summary, an estimate with its standard error, or token counts.
mistake      `mistakes.mistake.Mistake`: one edit of the reference's text, a sentence, three hints.
             `mistakes.edited_reference.build(*mistakes)` is the reference with the edits made.
naming       `mistakes.matching.naming.name_mistake`: find the mistake, or the pair of mistakes,
             whose observations equal the file's.
sandbox      `sandbox.client.Checker` starts a server, which forks the judge and then a child for
             every part. The child runs the file and sends observations; the judge never runs
             the file, compares and names. The server stays warm between calls.
runner       `claims.judging.runner.judge(module, part, seed)`: the same in this process,
             unprotected, for trusted modules such as the reference and the mistakes.
verdict      `verdict.Verdict`: a file, its hash, a `Result` for each claim; counts, exit code.

Use:

    from gpt2_small.checker.sandbox.client import Checker
    with Checker() as checker:                       # starts the server: torch is imported once
        verdict = checker.check(path)                # all parts; UserError: no file to check
        verdict = checker.check(path, parts=["LayerNorm"], seed=7, on_result=print)
    verdict.state_of("LayerNorm")                    # passed, failed, not_written or waiting
    verdict.first_to_mend()                          # the part to show in full, or None
    verdict.reason("LayerNorm")                      # why it failed, as a sentence

To add a mistake: append a `Mistake` to the part's file in `mistakes/catalogue/modules/` or
`mistakes/catalogue/functions/`; `old` must occur in the reference exactly once, in the part or its
helper, and be as short as possible, so that two mistakes can be combined. `equivalent=True` marks
an edit that changes no behaviour and must be accepted. When the part's claims do not reject it, add
a claim.
To add a claim: a function of (module, seed) in the part's file in `claims/modules/` or
`claims/functions/` that returns tensors and texts, and a `Claim` in the file's CLAIMS. Observe only
what is equal in all correct files. Only float32 fails a part; claims about other dtypes are
`required=False`, a remark. An error that a docstring promises is observed by its type
(`claims.observing.refusals`).
"""
