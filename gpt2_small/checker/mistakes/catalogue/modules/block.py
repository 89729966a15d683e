"""List the known mistakes in TransformerBlock."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "TransformerBlock"
_ATTN = "attn_out = self.hook_attn_out(self.attn(self.ln1(resid_pre)))"
_MID = "resid_mid = self.hook_resid_mid(resid_pre + attn_out)"
_MLP = "mlp_out = self.hook_mlp_out(self.mlp(self.ln2(resid_mid)))"
_POST = "return self.hook_resid_post(resid_mid + mlp_out)"

_NORM_HINTS = (
    "What does attention read, and what does the MLP read?",
    "Each reads the stream through its own norm; the stream itself is never normalized.",
    "mid = x + attn(ln1(x)); output = mid + mlp(ln2(mid))",
)
_STREAM_HINTS = (
    "Make attention and MLP return 0. Does the block return its input?",
    "The stream runs through unchanged, and the outputs of attention and MLP are added to it.",
    "mid = x + attn(ln1(x)); output = mid + mlp(ln2(mid))",
)
_ORDER_HINTS = (
    "Which of the two comes first, and what does the second one read?",
    "Attention comes first; the MLP reads the stream with attention's output in it.",
    "mid = x + attn(ln1(x)); output = mid + mlp(ln2(mid))",
)
_PARTS_HINTS = (
    "List its parameters. Are there two norms, an attention and an MLP?",
    "Each of the four parts has parameters of its own, and is an attribute.",
    "self.ln1, self.attn, self.ln2, self.mlp",
)
_TAPS_HINTS = (
    "The output is right; an activation on the way is not.",
    (
        "hook_attn_out and hook_mlp_out are the added outputs; hook_resid_pre, hook_resid_mid and "
        "hook_resid_post are the stream."
    ),
    (
        "mid = hook_resid_mid(x + hook_attn_out(...)); output = hook_resid_post(mid + "
        "hook_mlp_out(...))"
    ),
)

MISTAKES = [
    Mistake(
        id="block-post-norm",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.attn(resid_pre))",
        also=(
            (_MID, "resid_mid = self.hook_resid_mid(self.ln1(resid_pre + attn_out))"),
            (_MLP, "mlp_out = self.hook_mlp_out(self.mlp(resid_mid))"),
            (_POST, "return self.hook_resid_post(self.ln2(resid_mid + mlp_out))"),
        ),
        sentence=(
            "normalizes after the sums instead of before the parts, as the first transformer did"
        ),
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-norm-after-first-sum",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(self.ln1(resid_pre + attn_out))",
        sentence="normalizes the stream again after attention",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-norm-after-last-sum",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(self.ln2(resid_mid + mlp_out))",
        sentence="normalizes its output",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-ln1-missing",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.attn(resid_pre))",
        sentence="lets attention read the stream without ln1",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-ln2-missing",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.mlp(resid_mid))",
        sentence="lets the MLP read the stream without ln2",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-norms-missing",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.attn(resid_pre))",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.mlp(resid_mid))"),),
        sentence="uses neither ln1 nor ln2",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-norms-swapped",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.attn(self.ln2(resid_pre)))",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.mlp(self.ln1(resid_mid)))"),),
        sentence="swaps ln1 and ln2",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-ln1-for-both",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.mlp(self.ln1(resid_mid)))",
        sentence="uses ln1 for both",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-ln2-for-both",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.attn(self.ln2(resid_pre)))",
        sentence="uses ln2 for both",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-stream-normalized-before-attention",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(self.ln1(resid_pre) + attn_out)",
        sentence="adds attention's output to the normalized stream",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-stream-normalized-before-mlp",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(self.ln2(resid_mid) + mlp_out)",
        sentence="adds the MLP's output to the normalized stream",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-stream-normalized-twice",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(self.ln1(resid_pre) + attn_out)",
        also=((_POST, "return self.hook_resid_post(self.ln2(resid_mid) + mlp_out)"),),
        sentence="replaces the stream by its normalized self before each part",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-norm-of-what-is-added",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.ln1(self.attn(resid_pre)))",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.ln2(self.mlp(resid_mid)))"),),
        sentence="normalizes the outputs of attention and MLP instead of their inputs",
        hints=_NORM_HINTS,
    ),
    Mistake(
        id="block-attention-residual-missing",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(attn_out)",
        sentence="does not add attention's output to the stream but replaces it",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-mlp-residual-missing",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(mlp_out)",
        sentence="does not add the MLP's output to the stream but replaces it",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-residuals-missing",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(attn_out)",
        also=((_POST, "return self.hook_resid_post(mlp_out)"),),
        sentence="adds nothing to the stream: both sums are missing",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-attention-dropped",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(resid_pre + mlp_out)",
        sentence=(
            "adds the MLP's output to the block's input, so that attention's own path is lost"
        ),
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-stream-twice",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(resid_pre + resid_mid + mlp_out)",
        sentence="adds its input twice",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-stream-twice-before-mlp",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre + resid_pre + attn_out)",
        sentence="adds its input twice, before the MLP reads the sum",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-attention-twice",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(resid_mid + attn_out + mlp_out)",
        sentence="adds attention's output twice",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-averaged",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid((resid_pre + attn_out) / 2)",
        also=((_POST, "return self.hook_resid_post((resid_mid + mlp_out) / 2)"),),
        sentence="averages where it should add",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-subtracts",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(resid_mid - mlp_out)",
        sentence="subtracts the MLP's output",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-in-parallel",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.mlp(self.ln2(resid_pre)))",
        sentence="runs attention and MLP in parallel: both read the block's input",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-mlp-reads-attention",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.mlp(self.ln2(attn_out)))",
        sentence="lets the MLP read attention's output alone",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-mlp-first",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.mlp(self.ln2(resid_pre)))",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.attn(self.ln1(resid_mid)))"),),
        sentence="runs the MLP before attention",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-mlp-first-with-ln1",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_attn_out(self.mlp(self.ln1(resid_pre)))",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.attn(self.ln2(resid_mid)))"),),
        sentence="runs the MLP before attention, through ln1, and attention through ln2",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-mlp-missing",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(resid_mid)",
        sentence="leaves out the MLP",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-attention-missing",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre)",
        sentence="leaves out attention",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-attention-in-both",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.attn(self.ln2(resid_mid)))",
        sentence="runs attention where the MLP belongs",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="block-one-norm",
        component=PART,
        old="self.ln2 = LayerNorm(config)",
        new="self.ln2 = self.ln1",
        sentence="has one norm under two names",
        hints=_PARTS_HINTS,
    ),
    Mistake(
        id="block-mlp-in-a-list",
        component=PART,
        old="self.mlp = MLP(config)",
        new="self.mlp = [MLP(config)]",
        also=((_MLP, "mlp_out = self.hook_mlp_out(self.mlp[0](self.ln2(resid_mid)))"),),
        sentence="keeps its MLP in a plain list, where no parameter is found",
        hints=_PARTS_HINTS,
    ),
    Mistake(
        id="block-other-names",
        component=PART,
        old="self.attn = MultiHeadAttention(config)",
        new="self.attention = MultiHeadAttention(config)",
        also=((_ATTN, "attn_out = self.hook_attn_out(self.attention(self.ln1(resid_pre)))"),),
        sentence="calls its attention other than attn, so that GPT-2's weights do not load",
        hints=_PARTS_HINTS,
    ),
    Mistake(
        id="block-in-place",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre.data.add_(attn_out))",
        sentence="changes its input in place",
        hints=(
            "Print the input before and after the call.",
            "Whoever passed the stream in still needs it.",
            "Use mid = x + attn_out, which makes a new tensor, not x += attn_out",
        ),
    ),
    Mistake(
        id="block-detached-stream",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre.detach() + attn_out)",
        sentence="lets no gradient through the stream beside attention",
        hints=(
            "The output is right. Is the gradient of the input?",
            "Gradients reach the first block through the stream.",
            "mid = x + attn(ln1(x)), without detach",
        ),
    ),
    Mistake(
        id="block-tap-mlp-out-of-stream",
        component=PART,
        old=_MLP,
        new=(
            "mlp_out = self.mlp(self.ln2(resid_mid))\n"
            "        self.hook_mlp_out(resid_mid + mlp_out)"
        ),
        sentence="shows the stream at hook_mlp_out instead of the MLP's output",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="block-tap-attn-out-of-stream",
        component=PART,
        old=_ATTN,
        new=(
            "attn_out = self.attn(self.ln1(resid_pre))\n"
            "        self.hook_attn_out(resid_pre + attn_out)"
        ),
        sentence="shows the stream at hook_attn_out instead of attention's output",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="block-taps-attention-at-mlp-out",
        component=PART,
        old=_ATTN,
        new="attn_out = self.hook_mlp_out(self.attn(self.ln1(resid_pre)))",
        sentence="taps attention's output at hook_mlp_out, too",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="block-tap-mid-before-attention",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre) + attn_out",
        sentence="shows the stream at hook_resid_mid before attention's output is in it",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="block-sums-in-another-order",
        component=PART,
        old=_POST,
        new="return self.hook_resid_post(mlp_out + attn_out + resid_pre)",
        sentence="adds in another order",
        equivalent=True,
    ),
    Mistake(
        id="block-drops-what-it-adds",
        component=PART,
        old=_MID,
        new=(
            "resid_mid = self.hook_resid_mid(resid_pre + "
            "F.dropout(attn_out, self.attn.output_dropout.p, self.training))"
        ),
        also=(
            (
                _POST,
                (
                    "return self.hook_resid_post(resid_mid + F.dropout(mlp_out, "
                    "self.attn.output_dropout.p, self.training))"
                ),
            ),
        ),
        sentence="applies dropout to the outputs of its parts, which have done so already",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-adds-in-place",
        component=PART,
        old=_MID,
        new="resid_mid = self.hook_resid_mid(resid_pre.add_(attn_out))",
        sentence="changes its input in place: x += attn(...) works on the caller's tensor",
        hints=_STREAM_HINTS,
    ),
    Mistake(
        id="block-mlp-reads-the-input",
        component=PART,
        old=_MLP,
        new="mlp_out = self.hook_mlp_out(self.mlp(self.ln2(resid_pre)))",
        same_as="block-in-parallel",
        sentence="gives the MLP the block's input, without attention's output",
        hints=_ORDER_HINTS,
    ),
]
