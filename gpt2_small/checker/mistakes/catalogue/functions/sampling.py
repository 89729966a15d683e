"""List the known mistakes in sample."""

from gpt2_small.checker.mistakes.catalogue.functions import sampling_rows
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "sample"
_GREEDY = "    if temperature == 0:\n        return logits.argmax(dim=-1)\n"
_SORTED = "descending, token_of_rank = (relative / temperature).sort(dim=-1, descending=True)"
_TOP_K = "descending[:, top_k:] = -math.inf"
_SOFTMAX = "probabilities = descending.softmax(dim=-1)"
_BETTER = "probability_of_better_ranks = probabilities.cumsum(dim=-1) - probabilities"
_TOP_P = "probabilities = probabilities.masked_fill(probability_of_better_ranks >= top_p, 0.0)"
_DRAW = "rank = torch.multinomial(probabilities, num_samples=1, generator=generator)"
_RESULT = "return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)"

_TEMPERATURE_HINTS = (
    "Draw often at temperature 0.5 and 2. Which of them should be flatter?",
    "The temperature divides the logits, once, before the softmax and before top-p.",
    "probabilities = softmax(logits / temperature)",
)
_ZERO_HINTS = (
    "What happens at temperature 0?",
    "Temperature 0 means greedy: the most likely token, without a draw.",
    "if temperature == 0: return logits.argmax(dim=-1)",
)
_TOP_K_HINTS = (
    "Draw often with top_k=3 from seven tokens. Which tokens come, and how often?",
    (
        "The k most likely tokens stay; all others get a probability of exactly 0; k above "
        "d_vocab keeps all."
    ),
    "logits[logits < kth largest] = -inf, before the softmax",
)
_TOP_P_HINTS = (
    "Draw often from 0.4, 0.25, 0.15, ... with top_p=0.7. Which tokens should come?",
    (
        "The smallest set of most likely tokens that adds up to at least p stays, the one that "
        "crosses p included."
    ),
    "drop where cumsum(sorted probabilities) - probability >= p",
)
_ORDER_HINTS = (
    "With top_k=3 and top_p=0.77, which tokens may come?",
    "First the temperature, then top-k, then top-p on the remaining tokens, renormalised.",
    "softmax(top_k(logits / temperature)), and then top-p",
)
_SORTING_HINTS = (
    "Does each token come with its own probability?",
    "What is drawn from sorted probabilities is a rank; the sort's indices tell the token.",
    "tokens = indices.gather(-1, rank)",
)
_CHANCE_HINTS = (
    "Draw twice from equal generators, and from different ones.",
    (
        "Each row is drawn by itself, with its own probabilities, from the generator that was "
        "passed in."
    ),
    "torch.multinomial(probabilities, 1, generator=generator)",
)
_SHAPE_HINTS = (
    "What is the shape of the output for logits [batch d_vocab]?",
    "One token for every row: a tensor of integers [batch].",
    "torch.multinomial(...) is [batch 1]; squeeze the last axis",
)

MISTAKES = [
    Mistake(
        id="sample-temperature-multiplied",
        component=PART,
        old=_SORTED,
        new=("descending, token_of_rank = (relative * temperature).sort(dim=-1, descending=True)"),
        sentence="multiplies the logits by the temperature",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-temperature-ignored",
        component=PART,
        old=_SORTED,
        new="descending, token_of_rank = relative.sort(dim=-1, descending=True)",
        sentence="ignores the temperature",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-temperature-squared",
        component=PART,
        old=_SORTED,
        new=(
            "descending, token_of_rank = (relative / temperature**2).sort(dim=-1, descending=True)"
        ),
        sentence="divides by the temperature twice",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-temperature-square-root",
        component=PART,
        old=_SORTED,
        new=(
            "descending, token_of_rank = (relative / temperature**0.5).sort(dim=-1, "
            "descending=True)"
        ),
        sentence="divides by the square root of the temperature",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-temperature-on-probabilities",
        component=PART,
        old=_SORTED,
        new=(
            "descending, token_of_rank = (relative.softmax(dim=-1) / "
            "temperature).sort(dim=-1, descending=True)"
        ),
        sentence="divides probabilities by the temperature and takes the softmax again",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-sorted-upwards",
        component=PART,
        old="(relative / temperature).sort(dim=-1, descending=True)",
        new="(relative / temperature).sort(dim=-1, descending=False)",
        sentence="sorts upwards, so that the cuts keep the least likely tokens",
        hints=_SORTING_HINTS,
    ),
    Mistake(
        id="sample-softmax-over-batch",
        component=PART,
        old=_SORTED,
        new=(
            "descending, token_of_rank = (relative.softmax(dim=0).log() / "
            "temperature).sort(dim=-1, descending=True)"
        ),
        sentence="takes a softmax over the batch first",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-zero-divides",
        component=PART,
        old=_GREEDY,
        new="",
        also=(("    temperature = min(max(temperature, float32.tiny), float32.max)\n", ""),),
        sentence="divides by a temperature of 0",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-zero-is-one",
        component=PART,
        old=_GREEDY,
        new=("    if temperature == 0:\n        temperature = 1.0\n"),
        sentence="takes a temperature of 0 for 1",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-zero-is-small",
        component=PART,
        old=_GREEDY,
        new=("    if temperature == 0:\n        temperature = 0.2\n"),
        sentence="takes a temperature of 0 for a small one, so that it still draws",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-low-is-greedy",
        component=PART,
        old=_GREEDY,
        new="    if temperature < 0.1:\n        return logits.argmax(dim=-1)\n",
        sentence="takes the most likely token at every temperature below 0.1",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-zero-least-likely",
        component=PART,
        old=_GREEDY,
        new=("    if temperature == 0:\n        return logits.argmin(dim=-1)\n"),
        sentence="takes the least likely token at temperature 0",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-zero-over-batch",
        component=PART,
        old=_GREEDY,
        new=(
            "    if temperature == 0:\n"
            "        return logits.argmax().expand(len(logits)) % logits.shape[-1]\n"
        ),
        sentence="takes one token for all rows at temperature 0",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-zero-keeps-axis",
        component=PART,
        old=_GREEDY,
        new=("    if temperature == 0:\n        return logits.argmax(dim=-1, keepdim=True)\n"),
        sentence="returns [batch 1] at temperature 0",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-top-k-filled-with-zero",
        component=PART,
        old=_TOP_K,
        new="descending[:, top_k:] = 0.0",
        sentence="fills the logits that top-k cuts with 0, which is the largest here",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-one-more",
        component=PART,
        old=_TOP_K,
        new="descending[:, top_k + 1 :] = -math.inf",
        sentence="keeps k + 1 tokens",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-one-less",
        component=PART,
        old=_TOP_K,
        new="descending[:, max(top_k - 1, 1) :] = -math.inf",
        sentence="keeps k - 1 tokens",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-ignored",
        component=PART,
        old=_TOP_K,
        new="pass",
        sentence="ignores top_k",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-least-likely",
        component=PART,
        old=_TOP_K,
        new="descending[:, : -min(top_k, descending.shape[1])] = -math.inf",
        sentence="keeps the k least likely tokens",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-above-vocabulary",
        component=PART,
        old=_TOP_K,
        new=(
            "descending = descending.masked_fill(descending < "
            "descending.topk(top_k).values[:, -1:], -math.inf)"
        ),
        sentence="fails when top_k is above d_vocab",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-uniform",
        component=PART,
        old=_TOP_K,
        new=("descending[:, top_k:] = -math.inf\n        descending[:, :top_k] = 0.0"),
        sentence="draws evenly among the k most likely tokens",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-twice-over",
        component=PART,
        old=_TOP_K,
        new="descending[:, 2 * top_k :] = -math.inf",
        sentence="keeps twice as many tokens as top_k",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-p-drops-crossing",
        component=PART,
        old=_TOP_P,
        new=(
            "probabilities = probabilities.masked_fill(probability_of_better_ranks + "
            "probabilities >= top_p, 0.0)"
        ),
        sentence="drops the token that crosses p, and all of them when p is small",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-drops-crossing-keeps-first",
        component=PART,
        old=_TOP_P,
        new=(
            "dropped = probability_of_better_ranks + probabilities >= top_p\n"
            "        dropped[:, 0] = False\n"
            "        probabilities = probabilities.masked_fill(dropped, 0.0)"
        ),
        sentence="drops the token that crosses p, unless it is the first",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-less-the-largest",
        component=PART,
        old=_BETTER,
        new="probability_of_better_ranks = probabilities.cumsum(dim=-1) - probabilities[:, :1]",
        sentence=(
            "subtracts the largest probability from every sum instead of each token's own, and so "
            "keeps too many"
        ),
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-one-more",
        component=PART,
        old=_TOP_P,
        new=(
            "probabilities = probabilities.masked_fill(probability_of_better_ranks - "
            "probabilities.roll(1, -1) >= top_p, 0.0)"
        ),
        sentence="keeps one token too many",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-ignored",
        component=PART,
        old=_TOP_P,
        new="pass",
        sentence="ignores top_p",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-threshold",
        component=PART,
        old=_TOP_P,
        new=("probabilities = probabilities.masked_fill(probabilities < 1 - top_p, 0.0)"),
        sentence="keeps tokens whose own probability is at least 1 - p",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-of-largest",
        component=PART,
        old=_TOP_P,
        new=(
            "probabilities = probabilities.masked_fill(probabilities < top_p * "
            "probabilities[:, :1], 0.0)"
        ),
        sentence="keeps tokens whose probability is at least p times the largest",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-complement",
        component=PART,
        old=_TOP_P,
        new=(
            "probabilities = probabilities.masked_fill(probability_of_better_ranks "
            ">= 1 - top_p, 0.0) + 0 * top_p\n"
            "        probabilities[:, 0] += 1e-9"
        ),
        sentence="takes 1 - p for p",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-uniform",
        component=PART,
        old=_TOP_P,
        new="probabilities = (probability_of_better_ranks < top_p).float()",
        sentence="draws evenly among the tokens that top-p keeps",
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-top-p-not-sorted",
        component=PART,
        old=_BETTER,
        new=(
            "shuffled = torch.zeros_like(probabilities).scatter(-1, token_of_rank, "
            "probabilities)\n"
            "        probability_of_better_ranks = (shuffled.cumsum(dim=-1) - "
            "shuffled).gather(-1, token_of_rank)"
        ),
        sentence=("adds up probabilities in the vocabulary's order instead of from the largest"),
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-zero-taken-for-removed",
        component=PART,
        old="token_of_rank = (relative / temperature).sort(dim=-1, descending=True)",
        new="token_of_rank = (logits.float() / temperature).sort(dim=-1, descending=True)",
        also=(
            (
                _TOP_K,
                "descending[:, top_k:] = 0.0\n        descending[descending == 0] = -math.inf",
            ),
        ),
        sentence="removes every logit that is 0, also one that top_k keeps",
        hints=(
            "What happens to a token whose logit is exactly 0, when top_k is given?",
            "0 is a logit like any other, so it cannot mark removed tokens.",
            "logits[logits < kth_largest] = -inf, or a mask of its own",
        ),
    ),
    Mistake(
        id="sample-top-p-before-top-k",
        component=PART,
        old=_BETTER,
        new=(
            "everything = (relative / temperature).sort(dim=-1, "
            "descending=True).values.softmax(dim=-1)\n"
            "        probability_of_better_ranks = everything.cumsum(dim=-1) - "
            "everything"
        ),
        sentence=(
            "takes top_p of the probabilities of all tokens, not of those that top_k keeps, "
            "renormalised"
        ),
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="sample-top-p-before-temperature",
        component=PART,
        old=_BETTER,
        new=(
            "plain = descending * temperature\n"
            "        plain = plain.softmax(dim=-1)\n"
            "        probability_of_better_ranks = plain.cumsum(dim=-1) - plain"
        ),
        sentence="cuts by top-p before the temperature",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="sample-temperature-after-cuts",
        component=PART,
        old=_DRAW,
        new=(
            "rank = torch.multinomial(probabilities ** (1 / temperature), "
            "num_samples=1, generator=generator)"
        ),
        also=((_SORTED, "descending, token_of_rank = relative.sort(dim=-1, descending=True)"),),
        sentence="applies the temperature after the cuts",
        hints=_ORDER_HINTS,
        same_as="sample-top-p-before-temperature",
    ),
    Mistake(
        id="sample-returns-rank",
        component=PART,
        old=_RESULT,
        new="return rank.squeeze(-1)",
        sentence="returns the rank among the sorted tokens instead of the token",
        hints=_SORTING_HINTS,
    ),
    Mistake(
        id="sample-inverse-permutation",
        component=PART,
        old=_RESULT,
        new=("return token_of_rank.argsort(dim=-1).gather(dim=-1, index=rank).squeeze(-1)"),
        sentence="undoes the sort the wrong way around",
        hints=_SORTING_HINTS,
    ),
    Mistake(
        id="sample-argmax",
        component=PART,
        old=_DRAW,
        new="rank = probabilities.argmax(dim=-1, keepdim=True)",
        sentence="always takes the most likely token instead of drawing",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-uniform",
        component=PART,
        old=_DRAW,
        new=(
            "rank = torch.multinomial((probabilities > 0).float(), num_samples=1, "
            "generator=generator)"
        ),
        sentence="draws evenly among all tokens that are left",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-squared-probabilities",
        component=PART,
        old=_DRAW,
        new=("rank = torch.multinomial(probabilities**2, num_samples=1, generator=generator)"),
        sentence="draws from the squares of the probabilities",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-softmax-twice",
        component=PART,
        old=_SOFTMAX,
        new="probabilities = descending.softmax(dim=-1).softmax(dim=-1)",
        sentence="takes the softmax twice, which gives impossible tokens a chance",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-smoothed",
        component=PART,
        old=_DRAW,
        new=("rank = torch.multinomial(probabilities + 0.01, num_samples=1, generator=generator)"),
        sentence="adds a small number to all probabilities, so that cut tokens can be drawn",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-one-draw-for-all",
        component=PART,
        old=_DRAW,
        new=(
            "rank = torch.multinomial(probabilities[:1], num_samples=1, "
            "generator=generator).expand(len(probabilities), 1)"
        ),
        sentence="draws one rank for all rows",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-generator-ignored",
        component=PART,
        old=_DRAW,
        new="rank = torch.multinomial(probabilities, num_samples=1)",
        sentence="ignores the generator",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-own-seed",
        component=PART,
        old=_DRAW,
        new=(
            "rank = torch.multinomial(probabilities, num_samples=1, "
            "generator=torch.Generator().manual_seed(0))"
        ),
        sentence="always starts from the same seed",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-own-seed-without-generator",
        component=PART,
        old=_DRAW,
        new=(
            "generator = generator or torch.Generator().manual_seed(0)\n"
            "    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)"
        ),
        sentence="starts from the same seed whenever it is given no generator",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-restarts-torchs-generator",
        component=PART,
        old=_DRAW,
        new=(
            "generator = generator or torch.Generator().manual_seed(torch.initial_seed())\n"
            "    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)"
        ),
        sentence="draws the same tokens in every call without a generator",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-restarts-generator",
        component=PART,
        old=_DRAW,
        new=(
            "copied = torch.Generator()\n"
            "    if generator is not None:\n"
            "        copied.set_state(generator.get_state())\n"
            "        generator = copied\n"
            "    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)"
        ),
        sentence="draws the same tokens in every call with one generator",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-keeps-axis",
        component=PART,
        old=_RESULT,
        new="return token_of_rank.gather(dim=-1, index=rank)",
        sentence="returns [batch 1]",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="sample-squeezes-batch",
        component=PART,
        old=_RESULT,
        new="return token_of_rank.gather(dim=-1, index=rank).squeeze()",
        sentence="removes the batch axis of a single row: squeeze() without an axis",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="sample-first-row-only",
        component=PART,
        old=_RESULT,
        new="return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)[0]",
        sentence="returns one token for the whole batch",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="sample-in-place",
        component=PART,
        old="relative = logits.float() - logits.amax(dim=-1, keepdim=True)",
        new="relative = logits.sub_(logits.amax(dim=-1, keepdim=True))",
        sentence="changes its logits in place",
        hints=(
            "Print the logits before and after the call.",
            "Whoever passed them in may still need them.",
            "logits = logits / temperature makes a new tensor; logits /= temperature does not",
        ),
    ),
    Mistake(
        id="sample-renormalised",
        component=PART,
        old=_DRAW,
        new=(
            "rank = torch.multinomial(probabilities / probabilities.sum(dim=-1, "
            "keepdim=True), num_samples=1, generator=generator)"
        ),
        sentence="renormalises before it draws",
        equivalent=True,
    ),
    Mistake(
        id="sample-top-k-strictly-above",
        component=PART,
        old=_TOP_K,
        new=(
            "descending[descending <= descending[:, [min(top_k, "
            "descending.shape[1]) - 1]]] = -math.inf"
        ),
        sentence="keeps the tokens strictly above the k-th logit, so k - 1 tokens",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-k-by-one-argsort",
        component=PART,
        old=_TOP_K,
        new=(
            "places = logits.argsort(dim=-1, descending=True).gather(-1, token_of_rank)\n"
            "        descending[places >= top_k] = -math.inf"
        ),
        sentence="takes one argsort for the ranks, which takes two",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-top-p-mixes-rows",
        component=PART,
        old=_TOP_P,
        new=(
            "dropped = token_of_rank[probability_of_better_ranks >= top_p].unique()\n"
            "        probabilities[torch.isin(token_of_rank, dropped)] = 0.0"
        ),
        sentence=(
            "drops in every row what any row drops: logits[:, indices] works on all rows at once"
        ),
        hints=_TOP_P_HINTS,
    ),
    Mistake(
        id="sample-one-threshold-for-all",
        component=PART,
        old=_TOP_K,
        new=(
            "scaled = logits / temperature\n"
            "        least = scaled[0].topk(min(top_k, logits.shape[-1])).values[-1]\n"
            "        descending[scaled.gather(-1, token_of_rank) < least] = -math.inf"
        ),
        sentence="cuts every row at the k-th logit of the first",
        hints=_TOP_K_HINTS,
    ),
    Mistake(
        id="sample-tiny-temperature-for-zero",
        component=PART,
        old=_GREEDY,
        new="    temperature = max(temperature, 0.1)\n",
        sentence="draws at a low temperature instead of taking the most likely token at 0",
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-top-p-sorted-upwards",
        component=PART,
        old=_BETTER,
        new=(
            "probability_of_better_ranks = probabilities.flip(-1).cumsum(dim=-1).flip(-1)\n"
            "        probability_of_better_ranks = probability_of_better_ranks - probabilities"
        ),
        sentence="sorts upwards for top_p, so that it keeps the least likely tokens",
        hints=_SORTING_HINTS,
    ),
    Mistake(
        id="sample-nearly-zero-temperature",
        component=PART,
        old=_GREEDY,
        new="    temperature = max(temperature, 1e-6)\n",
        sentence=(
            "divides by a tiny temperature instead of taking the most likely token at 0, so that "
            "it draws among nearly equal logits"
        ),
        hints=_ZERO_HINTS,
    ),
    Mistake(
        id="sample-draws-from-logits",
        component=PART,
        old=_SOFTMAX,
        new="probabilities = descending",
        sentence="draws from logits, but multinomial needs probabilities",
        hints=(
            "What numbers does torch.multinomial take? Print a row of what you pass to it.",
            "It takes probabilities, none of them negative; logits become probabilities by a "
            "softmax.",
            "torch.multinomial(logits.softmax(dim=-1), num_samples=1, generator=generator)",
        ),
    ),
    Mistake(
        id="sample-top-k-sets-logits-to-zero",
        component=PART,
        old=_TOP_K,
        new=(
            "descending = descending + logits.amax(dim=-1, keepdim=True) / temperature\n"
            "        descending[:, top_k:] = 0.0\n"
            "        descending, order = descending.sort(dim=-1, descending=True)\n"
            "        token_of_rank = token_of_rank.gather(-1, order)"
        ),
        sentence="gives the logits that top_k drops the value 0 instead of minus infinity",
        hints=(
            "What is the probability of a token whose logit is 0?",
            "What is dropped must never be drawn; exp(-inf) is 0, and exp(0) is 1.",
            "logits.masked_fill(logits < kth_largest, -inf)",
        ),
    ),
    Mistake(
        id="sample-one-number-for-all-rows",
        component=PART,
        old=_DRAW,
        new=(
            "shares = torch.zeros_like(probabilities).scatter(-1, token_of_rank, probabilities)\n"
            "    shares = shares / shares.sum(dim=-1, keepdim=True)\n"
            "    number = torch.rand(1, generator=generator)"
        ),
        also=((_RESULT, "return (shares.cumsum(dim=-1) < number).sum(dim=-1)"),),
        sentence="draws one random number for all rows",
        hints=_CHANCE_HINTS,
    ),
    Mistake(
        id="sample-exponentials-overflow",
        component=PART,
        old=_SOFTMAX,
        new=(
            "exponentials = (descending + logits.amax(dim=-1, keepdim=True) / temperature).exp()\n"
            "    probabilities = exponentials / exponentials.sum(dim=-1, keepdim=True)"
        ),
        sentence="takes exponentials without subtracting the maximum, which overflow",
        hints=_TEMPERATURE_HINTS,
    ),
    Mistake(
        id="sample-in-place-division",
        component=PART,
        old="relative = logits.float() - logits.amax(dim=-1, keepdim=True)",
        new=(
            "logits /= temperature\n"
            "    relative = temperature * (logits - logits.amax(dim=-1, keepdim=True))"
        ),
        sentence="divides the caller's logits in place: logits /= temperature",
        hints=_TEMPERATURE_HINTS,
    ),
    *sampling_rows.MISTAKES,
]
