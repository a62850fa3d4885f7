"""Golden optimiser updates and learning-rate schedules.      /usr/bin/python3 tests/golden/make_optim.py

Writes optim.json:
  {"optimizers": [{"name", "kind": "sgd" | "adam", options as in trajectory.json, "lr_per_step" (absent: constant lr),
                   "clip_norm" (absent: none),
                   "parameters": {P: INPUT}, "gradients": {P: {"dims", "fill", "offset", "scale"}}, "steps",
                   "values": {P: [[entries after step 1], [after step 2], ...]}}]
   "schedules": [{"name", "kind": "constant" | "step" | "multistep" | "cosine", options, "values": [lr at t = 0, 1, ...]}]}
INPUT = {"dims", "fill", "offset", "scale"}: float32(offset + scale * v). The gradient of P at step k (from 0) has the
fill name G + "." + k, G being the `fill` of its record; it does not depend on the parameter. Arithmetic is float64.

  sgd   g += wd p;  m = mu m + g (m = g at the first step);  p -= lr m, or with nesterov p -= lr (g + mu m)
  adam  g += wd p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
        p -= lr / (1-b1^k) m / (sqrt(v) / sqrt(1-b2^k) + eps),  k from 1
  clip  g *= min(1, c / (sqrt(sum over all parameters of g^2) + 1e-6)), before weight decay
  step       lr gamma^floor(t / size)
  multistep  lr gamma^(number of milestones <= t)
  cosine     min + (lr - min) (1 + cos(pi (t - W) / (N - W))) / 2,  N = total, W = warmup, t < N
  warm-up    of every kind: lr (t + 1) / W while t < W; afterwards cosine as above, the others at the unshifted t
t counts epochs or steps; the schedule does not care which. Every value is PyTorch's; formulas are asserted against it.
"""

import math

import torch
from torch.optim import lr_scheduler as sched

import fill
import golden_io

SGD = {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
ADAM = {"kind": "adam", "lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}

OPTIMIZERS = [
    dict(SGD, name="sgd_plain", momentum=0.0),
    dict(SGD, name="sgd_momentum"),
    dict(SGD, name="sgd_decay", weight_decay=5e-2),
    dict(SGD, name="sgd_nesterov_decay", nesterov=True, weight_decay=5e-2),
    dict(SGD, name="sgd_lr_drop", weight_decay=5e-4, lr_per_step=[0.1, 0.1, 0.01, 0.01, 0.001, 0.001]),
    dict(SGD, name="sgd_clip", weight_decay=5e-2, clip_norm=0.5),
    dict(SGD, name="sgd_clip_unused", clip_norm=50.0),
    dict(ADAM, name="adam"),
    dict(ADAM, name="adam_decay", weight_decay=5e-2),
    dict(ADAM, name="adam_betas", beta1=0.5, beta2=0.9, eps=1e-3, lr=0.1),
    dict(ADAM, name="adam_tiny_gradients", gradient_scale=1e-9),
]

SCHEDULES = [
    {"name": "constant", "kind": "constant", "lr": 0.05, "warmup": 0, "total": 4},
    {"name": "constant_warm", "kind": "constant", "lr": 0.05, "warmup": 3, "total": 6},
    {"name": "step", "kind": "step", "lr": 0.1, "size": 4, "gamma": 0.5, "warmup": 0, "total": 13},
    {"name": "multistep", "kind": "multistep", "lr": 0.05, "milestones": [5, 8, 10], "gamma": 0.1, "warmup": 0, "total": 13},
    {"name": "multistep_warm", "kind": "multistep", "lr": 0.05, "milestones": [5, 8], "gamma": 0.1, "warmup": 4, "total": 13},
    {"name": "cosine", "kind": "cosine", "lr": 0.1, "min": 0.0, "warmup": 0, "total": 10},
    {"name": "cosine_min", "kind": "cosine", "lr": 0.1, "min": 0.001, "warmup": 0, "total": 7},
    {"name": "cosine_warm", "kind": "cosine", "lr": 0.1, "min": 0.0, "warmup": 5, "total": 20},
]


def optimise(case, steps=6):
    name, gradient_scale = case["name"], case.pop("gradient_scale", 1.0)
    record = dict(case, steps=steps, parameters={}, gradients={}, values={})
    params = {}
    for p, dims in (("weight", (2, 3)), ("bias", (4,))):
        record["parameters"][p] = {"dims": list(dims), "fill": f"optim/{p}", "offset": 0.0, "scale": 1.0}
        record["gradients"][p] = {"dims": list(dims), "fill": f"{name}/{p}.grad", "offset": 0.0, "scale": gradient_scale}
        record["values"][p] = []
        params[p] = torch.nn.Parameter(torch.from_numpy(fill.affine(f"optim/{p}", dims)).double())
    if case["kind"] == "sgd":
        optimizer = torch.optim.SGD(params.values(), case["lr"], case["momentum"], 0, case["weight_decay"],
                                    case["nesterov"])
    else:
        optimizer = torch.optim.Adam(params.values(), case["lr"], (case["beta1"], case["beta2"]), case["eps"],
                                     case["weight_decay"])
    for k in range(steps):
        for p, t in params.items():
            t.grad = torch.from_numpy(fill.affine(f"{name}/{p}.grad.{k}", tuple(t.shape), 0.0, gradient_scale)).double()
        if "clip_norm" in case:
            torch.nn.utils.clip_grad_norm_(params.values(), case["clip_norm"])
        if "lr_per_step" in case:
            optimizer.param_groups[0]["lr"] = case["lr_per_step"][k]
        optimizer.step()
        for p, t in params.items():
            record["values"][p].append(t.detach().flatten().tolist())
    return record


def formula(s, t):
    lr, warmup = s["lr"], s["warmup"]
    if t < warmup:
        return lr * (t + 1) / warmup
    if s["kind"] == "step":
        return lr * s["gamma"] ** (t // s["size"])
    if s["kind"] == "multistep":
        return lr * s["gamma"] ** sum(m <= t for m in s["milestones"])
    if s["kind"] == "cosine":
        return s["min"] + (lr - s["min"]) * (1 + math.cos(math.pi * (t - warmup) / (s["total"] - warmup))) / 2
    return lr


def schedule(s):
    lr, warmup = s["lr"], s["warmup"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    if s["kind"] == "step":
        main = sched.StepLR(optimizer, s["size"], s["gamma"])
    elif s["kind"] == "multistep":
        main = sched.MultiStepLR(optimizer, [m - warmup for m in s["milestones"]], s["gamma"])
    elif s["kind"] == "cosine":
        main = sched.CosineAnnealingLR(optimizer, s["total"] - warmup, s["min"])
    else:
        main = sched.LambdaLR(optimizer, lambda t: 1.0)
    if warmup:
        warm = sched.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        main = sched.SequentialLR(optimizer, [warm, main], [warmup])
    values = []
    for _ in range(s["total"]):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        main.step()
    for t, v in enumerate(values):
        assert abs(v - formula(s, t)) < 1e-12, (s["name"], t, v, formula(s, t))
    return dict(s, values=values)


def main():
    golden_io.write("optim.json", {"optimizers": [optimise(dict(c)) for c in OPTIMIZERS],
                                   "schedules": [schedule(s) for s in SCHEDULES]})


if __name__ == "__main__":
    main()
