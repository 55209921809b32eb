"""The numbers: arrays in, arrays out. One CUDA C++ source per kernel, run by NVIDIA GPUs and CPUs alike."""

from trueflow.kernels.device import Device, DeviceUnavailableError, device_names, get_device

__all__ = ["Device", "DeviceUnavailableError", "device_names", "get_device"]
