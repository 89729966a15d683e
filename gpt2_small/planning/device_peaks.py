"""Look up a GPU's peak throughput, memory and links from its vendor's data sheet.

Peaks are dense: half of a figure that is given with structured sparsity only. The float32 peak is
TF32's, which a run switches on, if the GPU has it. A link's rate is one way, half of the data
sheets' bidirectional figures. Apple publishes no peak by data type, so its chips are missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gpt2_small.errors import UserError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Device:
    """A processor by its data sheet; unknown values are None.

    name: its name in the planner.
    torch_name: torch.cuda.get_device_name without the vendor's name.
    peaks: FLOP/s of products by type, `bfloat16`, `float16` or `float32`.
    memory, memory_rate: bytes, and bytes per second.
    link, link_rate: the interconnect within a machine, and its bytes per second one way.
    source: the vendor's document.
    """

    name: str
    torch_name: str | None = None
    peaks: Mapping[str, float]
    memory: float | None = None
    memory_rate: float | None = None
    link: str | None = None
    link_rate: float | None = None
    source: str | None = None


A100 = "NVIDIA A100 Tensor Core GPU data sheet, 2021"
H100 = "NVIDIA H100 Tensor Core GPU architecture white paper, 2022; H100 data sheet, 2023"
H200 = "NVIDIA H200 Tensor Core GPU data sheet (SXM), 2024"
B200 = "NVIDIA Blackwell architecture technical brief (HGX B200), 2024; DGX B200 data sheet"
L4 = "NVIDIA L4 Tensor Core GPU data sheet, 2023"
L40S = "NVIDIA L40S data sheet, 2023"
A10 = "NVIDIA A10 Tensor Core GPU data sheet, 2021"
V100 = "NVIDIA V100 Tensor Core GPU data sheet, 2020"
T4 = "NVIDIA T4 Tensor Core GPU data sheet, 2019"
GA102 = "NVIDIA Ampere GA102 GPU architecture white paper, 2021, appendix A"
ADA = "NVIDIA Ada GPU architecture white paper, 2023, appendix A"

# TFLOP/s in float16 of GPUs without bfloat16; the others have one peak for both.
FLOAT16_ALONE = {"v100": 125, "v100-32gb": 125, "t4": 65}

# Name; torch_name; TFLOP/s in bfloat16 and float32; GB; GB/s; link, GB/s; source.
_TABLE: tuple[tuple[str, str, float | None, float, float, float, str, float, str], ...] = (
    ("a100", "A100-SXM4-40GB", 312, 156, 40, 1555, "NVLink", 300, A100),
    ("a100-80gb", "A100-SXM4-80GB", 312, 156, 80, 2039, "NVLink", 300, A100),
    ("a100-pcie", "A100-PCIE-40GB", 312, 156, 40, 1555, "PCIe 4", 32, A100),
    ("a100-80gb-pcie", "A100 80GB PCIe", 312, 156, 80, 1935, "PCIe 4", 32, A100),
    ("h100", "H100 80GB HBM3", 989.4, 494.7, 80, 3350, "NVLink", 450, H100),
    ("h100-pcie", "H100 PCIe", 756, 378, 80, 2000, "PCIe 5", 64, H100),
    ("h200", "H200", 989.4, 494.7, 141, 4800, "NVLink", 450, H200),
    ("b200", "B200", 2250, 1100, 180, 8000, "NVLink", 900, B200),
    ("l4", "L4", 121, 60, 24, 300, "PCIe 4", 32, L4),
    ("l40s", "L40S", 362.05, 183, 48, 864, "PCIe 4", 32, L40S),
    ("a10", "A10", 125, 62.5, 24, 600, "PCIe 4", 32, A10),
    ("v100", "V100-SXM2-16GB", None, 15.7, 16, 900, "NVLink", 150, V100),
    ("v100-32gb", "V100-SXM2-32GB", None, 15.7, 32, 900, "NVLink", 150, V100),
    ("t4", "T4", None, 8.1, 16, 300, "PCIe 3", 16, T4),
    ("rtx-3090", "RTX 3090", 71, 35.6, 24, 936, "PCIe 4", 32, GA102),
    ("rtx-4090", "RTX 4090", 165.2, 82.6, 24, 1008, "PCIe 4", 32, ADA),
)


def _device(row: tuple[str, str, float | None, float, float, float, str, float, str]) -> Device:
    name, torch_name, bfloat16, float32, memory, memory_rate, link, link_rate, source = row
    float16 = FLOAT16_ALONE.get(name, bfloat16)
    peaks = {"bfloat16": bfloat16, "float16": float16, "float32": float32}
    return Device(
        name=name,
        torch_name=torch_name,
        peaks={dtype: 1e12 * peak for dtype, peak in peaks.items() if peak is not None},
        memory=1e9 * memory,
        memory_rate=1e9 * memory_rate,
        link=link,
        link_rate=1e9 * link_rate,
        source=source,
    )


CPU = Device(name="cpu", peaks={})
DEVICES: Mapping[str, Device] = MappingProxyType(
    {device.name: device for device in (*map(_device, _TABLE), CPU)}
)


def device_of(torch_name: str) -> Device | None:
    """The device with this torch.cuda.get_device_name; None for one that is not in the table.

    The full name must match: slices of a GPU (MIG), laptop GPUs and variants have other peaks.
    """
    model = re.sub(r"^(NVIDIA )?(Tesla |GeForce )?", "", torch_name)
    return next((device for device in DEVICES.values() if device.torch_name == model), None)


def peak_of(torch_name: str, dtype: str) -> float | None:
    """The peak FLOP/s of this GPU for products of a type; None if it is unknown.

    dtype: `bfloat16`, `float16` or `float32`.
    """
    device = device_of(torch_name)
    return None if device is None else device.peaks.get(dtype)


def find_in_table(name: str) -> Device:
    """Find a device by its name in the table or in torch.

    Raises UserError, with the nearest name, for an unknown device.
    """
    device = DEVICES.get(name.lower().replace(" ", "-").replace("_", "-")) or device_of(name)
    if device is None:
        hint = did_you_mean(name, DEVICES, otherwise=f"choose one of {', '.join(DEVICES)}")
        raise UserError(f"there is no data sheet for a device {name!r} here; {hint}")
    return device
