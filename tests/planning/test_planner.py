"""Test the planner: scaling against a ring, time against a public run, and messages."""

import math
from contextlib import nullcontext

import pytest
import torch
from gpu_path import the_way_of_a_gpu

import gpt2_small
from gpt2_small import preset
from gpt2_small.errors import UserError
from gpt2_small.model.twin import FastTransformer
from gpt2_small.planning import planned_run
from gpt2_small.planning.device_peaks import DEVICES
from gpt2_small.planning.flops import parameter_count, training_flops
from gpt2_small.planning.gpu_scaling import LINK_SHARE, Cluster, all_reduce_bytes, step_time
from gpt2_small.planning.planned_run import SHARE_OF_PEAK, PlannedRun
from gpt2_small.planning.planner import BATCH_TOKENS, Plan

TIED = dict(d_model=64, n_layers=3, n_heads=4, n_ctx=48, d_vocab=300)


def ring_bytes_sent(numbers, processes):
    """Return the numbers that one process of a ring sends: all pieces but one, twice."""
    pieces = [len(range(start, numbers, processes)) for start in range(processes)]
    reduced = sum(pieces[-step % processes] for step in range(processes - 1))
    gathered = sum(pieces[(1 - step) % processes] for step in range(processes - 1))
    return 4 * (reduced + gathered)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_traffic_equals_that_of_a_ring(processes):
    config = gpt2_small.TransformerConfig(**TIED)
    sent = ring_bytes_sent(parameter_count(config), processes)
    assert all_reduce_bytes(config, processes) == pytest.approx(sent, abs=4 * 2)


CLUSTER = Cluster(gpus=4, rate=1e15, link_within=400e9, link_between=10e9)


def test_a_step_computes_its_share_and_waits_for_communication_that_is_not_overlapped():
    config = preset("gpt2")
    step = step_time(config, CLUSTER, gpus=8, sequences=64, micro_steps=2)
    compute = training_flops(config) * 64 * 1024 / 8 / 1e15
    exchange = 2 * 7 / 8 * 4 * 124_439_808 / (LINK_SHARE * 10e9)
    last = 2 * 7 / 8 * 4 * (50257 + 1024) * 768 / (LINK_SHARE * 10e9)
    assert step.compute == pytest.approx(compute)
    assert step.exchange == pytest.approx(exchange)
    assert step.waiting == pytest.approx(exchange - compute / 2 * 2 / 3)
    assert step.waiting > last
    assert step.efficiency == pytest.approx(compute / (compute + step.waiting))
    assert step.efficiency_without_overlap == pytest.approx(compute / (compute + exchange))


def test_a_long_backward_pass_overlaps_all_communication_but_the_embeddings():
    config = preset("gpt2")
    step = step_time(config, CLUSTER, gpus=4, sequences=4096, micro_steps=1)
    last = 2 * 3 / 4 * 4 * (50257 + 1024) * 768 / (LINK_SHARE * 400e9)
    assert step.waiting == pytest.approx(last)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_the_embeddings_gradients_come_last(on_gpu, monkeypatch):
    config = gpt2_small.TransformerConfig(**TIED)
    model = gpt2_small.Transformer(config)
    order = []
    for name, weight in model.named_parameters():
        weight.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    with the_way_of_a_gpu(monkeypatch) if on_gpu else nullcontext():
        FastTransformer(model)(torch.randint(config.d_vocab, (2, 9))).backward()
    assert set(order[-2:]) == {"embed.W_E", "pos_embed.W_pos"}


def test_one_process_never_waits_and_several_machines_wait_for_their_link():
    config = preset("gpt2")

    def waiting(gpus):
        return step_time(config, CLUSTER, gpus=gpus, sequences=512, micro_steps=1).waiting

    assert waiting(1) == 0
    assert 0 < waiting(4) < waiting(8) / 20


def planned(name="gpt2", device="h200", **changes):
    return Plan(PlannedRun(config=preset(name), device=DEVICES[device], **changes))


def share_reached(tokens, days, gpus, device):
    seconds = 86400 * days * gpus
    return tokens * training_flops(preset("gpt2")) / seconds / DEVICES[device].peaks["bfloat16"]


def test_the_assumed_share_of_the_peak_lies_between_two_public_runs():
    karpathy = share_reached(19_560 * 524_288, days=45 / 60 / 24, gpus=8, device="h100")
    nanogpt = share_reached(600_000 * 491_520, days=4, gpus=8, device="a100")
    assert (round(karpathy, 2), round(nanogpt, 2)) == (0.41, 0.29)
    assert nanogpt < SHARE_OF_PEAK < karpathy


def test_the_plan_of_the_cited_run_has_its_published_duration():
    plan = planned(device="h100", gpus=8, tokens=19_560 * 524_288)
    assert plan.steps == 19_560
    assert plan.steps * plan.step.seconds / 60 == pytest.approx(45, rel=0.05)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-xl", "stories"])
@pytest.mark.parametrize(("gpus", "nodes"), [(1, 1), (8, 4), (3, 5), (7, 1)])
def test_a_step_is_shared_equally_and_is_about_half_a_million_tokens(name, gpus, nodes):
    plan = planned(name, gpus=gpus, nodes=nodes)
    windows = plan.micro_batch * plan.micro_steps * gpus * nodes
    assert plan.batch_tokens == windows * plan.run.config.n_ctx
    assert 0.9 * BATCH_TOKENS < plan.batch_tokens <= BATCH_TOKENS
    assert 1 <= plan.micro_batch <= plan.largest_micro_batch
    assert (plan.steps - 1) * plan.batch_tokens < plan.tokens <= plan.steps * plan.batch_tokens


def test_more_tokens_take_longer_and_a_larger_share_of_the_peak_less_time():
    plan = planned(tokens=10**9)
    assert planned(tokens=2 * 10**9).steps == pytest.approx(2 * plan.steps, abs=1)
    assert planned(share_of_peak=0.8).step.compute == pytest.approx(plan.step.compute / 2)
    assert planned(peak_tflops=2 * 989.4).step.compute == pytest.approx(plan.step.compute / 2)


def test_more_gpus_pay_off_until_all_larger_numbers_wait_longer_than_they_compute():
    plan = planned(gpus=8, nodes=4)
    assert plan.pays_up_to == 64
    assert all(step.compute < step.waiting for step in plan.scaling if step.gpus > 64)
    assert all(step.compute >= step.waiting for step in plan.scaling if step.gpus <= 64)
    assert {step.gpus for step in plan.scaling} == {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}


def test_with_a_faster_link_more_gpus_pay_off():
    assert planned(gpus=8, link_gbits=10.0).pays_up_to == 8
    assert planned(gpus=8, link_gbits=3200.0).pays_up_to > 64


@pytest.mark.parametrize(("device", "dtype"), [("cpu", "bfloat16"), ("t4", "bfloat16")])
def test_a_plan_has_a_time_only_with_a_known_or_given_peak(device, dtype):
    plan = planned("stories", device, dtype=dtype)
    assert plan.step is None
    assert plan.scaling == []
    assert plan.pays_up_to is None
    assert planned("stories", device, peak_tflops=0.5).step.seconds > 0


def test_processes_on_a_cpu_share_its_memory_and_gpus_do_not(monkeypatch):
    monkeypatch.setattr(planned_run, "memory_here", lambda: 64e9)
    assert (
        planned(device="cpu", gpus=4).run.usable_memory
        == planned(device="cpu").run.usable_memory / 4
    )
    assert planned(gpus=4).run.usable_memory == planned().run.usable_memory
    assert planned(memory_gb=20.0).run.usable_memory < 20e9


def test_without_a_known_memory_a_plan_does_not_check_it(monkeypatch):
    monkeypatch.setattr(planned_run, "memory_here", lambda: None)
    plan = planned("stories", "cpu")
    assert (plan.largest_micro_batch, plan.fits, plan.micro_batch) == (None, True, 1)


def test_a_plan_detects_a_run_that_does_not_fit():
    assert planned("gpt2-xl", "t4").fits is False
    assert planned("gpt2", "t4", micro_batch=512).fits is False
    assert planned("gpt2", "t4").fits is True


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"gpus": 0}, "--gpus is 0; give a whole number of at least 1"),
        ({"nodes": -2}, "--nodes is -2; give"),
        ({"tokens": 0}, "--tokens is 0; give"),
        ({"batch_tokens": -1}, "--batch-tokens is -1; give"),
        ({"micro_batch": 0}, "--micro-batch is 0; give"),
        ({"link_gbits": 0.0}, "--link is 0.0; give a number above 0"),
        ({"peak_tflops": math.nan}, "--peak-tflops is nan; give a number above 0"),
        ({"memory_gb": math.inf}, "--memory-gb is inf; give a number above 0"),
        ({"share_of_peak": 40.0}, "--share-of-peak is 40.0; give a number above 0 and up to 1"),
        ({"share_of_peak": math.nan}, "--share-of-peak is nan; give"),
        ({"dtype": "bf16"}, "--dtype is 'bf16'; give one of float32, bfloat16"),
        (
            {"batch_tokens": 500_000, "gpus": 8},
            "--batch-tokens is 500000, which cannot be shared equally by 8 processes in windows of "
            "1024 tokens; give 499712 or 507904",
        ),
        ({"batch_tokens": 9}, "by 1 process in windows of 1024 tokens; give 1024$"),
        (
            {"batch_tokens": 2**19, "gpus": 8, "micro_batch": 5},
            "--micro-batch is 5, which does not divide the 64 windows that a process has in a "
            "step; give 4",
        ),
    ],
)
def test_an_impossible_plan_is_refused_in_one_sentence_with_the_way_out(changes, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        planned(**changes)
    assert "\n" not in str(caught.value)
