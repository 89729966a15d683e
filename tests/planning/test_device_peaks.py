"""Test device peaks: known devices, and None for unknown ones."""

import pytest

from gpt2_small.errors import UserError
from gpt2_small.planning.device_peaks import CPU, DEVICES, device_of, find_in_table, peak_of

GPUS = [device for device in DEVICES.values() if device is not CPU]


@pytest.mark.parametrize(
    ("torch_name", "name"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA A100-SXM4-40GB", "a100"),
        ("A100-SXM4-40GB", "a100"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb-pcie"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A10", "a10"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("GeForce RTX 4090", "rtx-4090"),
    ],
)
def test_a_gpu_is_found_by_torchs_name_for_it(torch_name, name):
    assert device_of(torch_name) is DEVICES[name]


@pytest.mark.parametrize(
    "torch_name",
    [
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H200 NVL",
        "NVIDIA H20",
        "NVIDIA A10G",
        "NVIDIA L40",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3090 Ti",
        "AMD Instinct MI300X",
        "cpu",
        "",
    ],
)
def test_a_mig_slice_a_variant_and_an_unknown_device_have_no_peak(torch_name):
    assert device_of(torch_name) is None
    assert peak_of(torch_name, "bfloat16") is None


def test_each_dtype_has_its_own_peak():
    assert peak_of("NVIDIA A100-SXM4-80GB", "bfloat16") == 312e12
    assert peak_of("NVIDIA A100-SXM4-80GB", "float32") == 156e12
    assert peak_of("NVIDIA H200", "float16") == 989.4e12
    assert peak_of("Tesla T4", "float16") == 65e12
    assert peak_of("NVIDIA H200", "float64") is None


@pytest.mark.parametrize("torch_name", ["Tesla T4", "Tesla V100-SXM2-32GB"])
def test_a_gpu_without_bfloat16_has_no_peak_in_it(torch_name):
    assert peak_of(torch_name, "bfloat16") is None
    assert peak_of(torch_name, "float32") is not None


@pytest.mark.parametrize("device", GPUS, ids=lambda device: device.name)
def test_every_gpu_has_a_source_and_plausible_figures(device):
    assert "data sheet" in device.source or "white paper" in device.source
    assert 8e12 <= device.peaks["float32"] <= device.peaks.get("bfloat16", 1e15) <= 2.25e15
    assert 16e9 <= device.memory <= 192e9
    assert 300e9 <= device.memory_rate <= 8e12
    # One direction: at most half of NVLink 5's bidirectional bandwidth.
    assert 16e9 <= device.link_rate <= 900e9


def test_no_two_gpus_have_the_same_name_in_torch():
    names = [device.torch_name for device in GPUS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["h200", "H200", "NVIDIA H200"])
def test_a_device_is_found_by_our_name_or_torchs(name):
    assert find_in_table(name) is DEVICES["h200"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("h20", r"no data sheet for a device 'h20' here; did you mean h200\?"),
        ("rtx 4080", r"'rtx 4080' here; did you mean rtx-4090\?"),
        ("mi300x", "'mi300x' here; choose one of a100, a100-80gb, .*, cpu$"),
    ],
)
def test_an_unknown_device_is_refused_with_a_suggestion(name, sentence):
    with pytest.raises(UserError, match=sentence):
        find_in_table(name)
