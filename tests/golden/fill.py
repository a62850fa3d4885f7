"""Deterministic tensor contents that Python and C++ compute alike, so that no weight files are needed.

fill.h is the same in C++, bit for bit in float32. This module writes nothing; the make_*.py scripts import it.

    s      = FNV-1a-32(name)                          u32, over the bytes of the name
    u_i    = (splitmix64((s << 32) + i) >> 40) / 2^24   in [0, 1),  i = row-major index
    v_i    = 2 u_i - 1                                in [-1, 1)
    x_i    = float32(offset + scale * v_i)            computed in double, rounded once

A tensor is described by (name, dims, offset, scale). Network tensors get offset and scale from the name's suffix and
from the rank (FillKind in C++, `kind` here). The dyadic constants make offset + scale * v exact in double, so fused
multiply-add cannot change a bit.

    suffix, rank                      offset   scale
    *running_mean                     0        0.09375
    *running_var                      1        0.25              (0.75 .. 1.25)
    *num_batches_tracked              0        0
    *weight, rank >= 2                0        sqrt(6 / fan_in)  fan_in = product of dims[1:]  (variance 2 / fan_in)
    *bn2.weight, rank 1               0.25     0.046875          a quarter of the next line
    *weight, rank 1 (batch norm)      1        0.1875
    *bias                             0        0.09375
    anything else (inputs)            0        2

The small bn2 gain keeps the residual sums of a 110-layer network O(1) with running statistics: every block adds a few
per cent of variance instead of doubling it. Networks without a layer named bn2 (VGG) are not touched by it.

Labels: label_b = floor(u_b * classes), u from the label's own name.
Two networks in one test are told apart by a prefix, e.g. "teacher/" + "layer1.0.conv1.weight"; the kind looks only at
the suffix.
"""

import math

import numpy as np

MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


def hash_name(name):
    """32-bit FNV-1a."""
    h = 2166136261
    for c in name.encode():
        h = ((h ^ c) * 16777619) & 0xFFFFFFFF
    return h


def unit(name, n):
    """u_0 .. u_{n-1} as float64 in [0, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(hash_name(name) << 32) + np.arange(n, dtype=np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 16777216.0


def kind(name, dims):
    """(offset, scale) of a network tensor."""
    if name.endswith("running_mean"):
        return 0.0, 0.09375
    if name.endswith("running_var"):
        return 1.0, 0.25
    if name.endswith("num_batches_tracked"):
        return 0.0, 0.0
    if name.endswith("weight"):
        if len(dims) >= 2:
            return 0.0, math.sqrt(6.0 / float(np.prod(dims[1:])))
        return (0.25, 0.046875) if name.endswith("bn2.weight") else (1.0, 0.1875)
    if name.endswith("bias"):
        return 0.0, 0.09375
    return 0.0, 2.0


def affine(name, dims, offset=0.0, scale=1.0):
    """The float32 array of the given dims."""
    v = 2.0 * unit(name, int(np.prod(dims))) - 1.0
    return (offset + scale * v).astype(np.float32).reshape(dims)


def fill(name, dims):
    """A network tensor or input: offset and scale by `kind`."""
    return affine(name, dims, *kind(name, dims))


def labels(name, n, classes):
    return np.floor(unit(name, n) * classes).astype(np.int64)


def fill_module(module, prefix=""):
    """Overwrites every parameter and buffer of a torch module with its fill."""
    import torch

    with torch.no_grad():
        for name, t in module.state_dict().items():
            t.copy_(torch.from_numpy(fill(prefix + name, tuple(t.shape))))
