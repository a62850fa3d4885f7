"""Ten training steps of several methods and optimisers.      /usr/bin/python3 tests/golden/make_steps.py

Writes trajectory.json:
  {"runs": [RUN]}
  RUN = {"name", "student", "teacher" (absent: none), "classes": 100, "batch", "steps",
         "terms": {TERM: {"weight", options}},     total = sum of weight * term; options as in methods.json;
                                                   fitnet reads f2; at reads f1 .. fK; sp reads fK (post taps)
         "optimizer": {"kind": "sgd", "lr", "momentum", "nesterov", "weight_decay"}
                   or {"kind": "adam", "lr", "beta1", "beta2", "eps", "weight_decay"},
         "clip_norm": c (absent: none),            gradients times min(1, c / (global norm + 1e-6)), before weight decay
         "f32": LOSSES, "f64": LOSSES,             LOSSES = {"total": [per step], TERM: [raw, before its weight]}, and
                                                   with clip_norm "grad_norm": [global norm before clipping]
         "f32_error": e,                           the largest relative difference of a total, f32 against f64
         "lr_per_step": [...],                     absent: constant lr
         "grads": {PARAM: SUM},                    f64 gradients of the first step (unclipped, without weight decay)
         "after": {TENSOR: SUM},                   f64 student (and regressor) tensors after the last step
         "after_f32_error": e}                     the largest |f32 - f64| / mean_abs among those entries
  SUM as in models.json: {"dims", "mean", "mean_abs", "at", "values"}.
Contents: student parameter P = Fill("student/" + P), teacher parameter P = Fill("teacher/" + P), each with the kind of
its suffix; FitNet's regressor = Fill("fitnet/conv.weight"), conv.bias, bn.weight, bn.bias, bn.running_mean,
bn.running_var; step k (from 0): input = Fill(NAME + "/input.k", [batch,3,32,32]), labels =
FillLabels(NAME + "/label.k", batch, 100).
The teacher runs in evaluation mode, the student (and the regressor) with batch statistics, momentum 0.1. The optimiser
covers all parameters of student and regressor, with weight decay on all. A step's losses are those before its update.
"""

import torch
from torch import nn
from torch.nn import functional as F

import fill
import golden_io
import nets
from make_methods import attention, gram
from make_models import summary

SGD = {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4}
NESTEROV = dict(SGD, nesterov=True)
ADAM = {"kind": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 5e-4}
CE = {"weight": 1.0, "label_smoothing": 0.0}
KD = {"ce": dict(CE, weight=0.1), "kd": {"weight": 0.9, "T": 4.0}}

RUNS = [
    {"name": "kd_b8", "teacher": "resnet32x4", "student": "resnet8x4", "batch": 8, "terms": KD, "optimizer": SGD},
    {"name": "kd_b16", "teacher": "resnet32x4", "student": "resnet8x4", "batch": 16, "terms": KD, "optimizer": SGD},
    {"name": "ce_nesterov", "student": "resnet8", "batch": 8, "optimizer": NESTEROV,
     "terms": {"ce": dict(CE, label_smoothing=0.1)}},
    {"name": "ce_clip", "student": "resnet8", "batch": 8, "optimizer": SGD, "terms": {"ce": CE}, "clip_norm": 1.0},
    {"name": "ce_decay", "student": "resnet8", "batch": 8, "optimizer": SGD, "terms": {"ce": CE},
     "lr_per_step": [0.05] * 4 + [0.005] * 3 + [0.0005] * 3},
    {"name": "fitnet", "teacher": "resnet20", "student": "resnet8", "batch": 8, "optimizer": SGD,
     "terms": {"ce": CE, "fitnet": {"weight": 100.0}}},
    {"name": "fitnet_up", "teacher": "resnet20", "student": "vgg8", "batch": 4, "optimizer": SGD,
     "terms": {"ce": CE, "fitnet": {"weight": 100.0}}},
    {"name": "at", "teacher": "resnet20", "student": "resnet8", "batch": 8, "optimizer": SGD,
     "terms": {"ce": CE, "at": {"weight": 1000.0, "p": 2}}},
    {"name": "sp", "teacher": "vgg13", "student": "vgg8", "batch": 4, "optimizer": SGD,
     "terms": {"ce": CE, "sp": {"weight": 3000.0}}},
    {"name": "kd_at_wrn", "teacher": "wrn_40_1", "student": "wrn_16_1", "batch": 8, "optimizer": SGD,
     "terms": dict(KD, at={"weight": 1000.0, "p": 2})},
    {"name": "kd_adam", "teacher": "wrn_16_2", "student": "wrn_16_1", "batch": 8, "optimizer": ADAM, "terms": KD},
]


def regressor(student, teacher):
    """FitNet's conv (or transposed conv) + batch norm, between maps of equal or twofold size."""
    (_, cs, hs, _), (_, ct, ht, _) = student, teacher
    r = nn.Module()
    if hs == ht:
        r.conv = nn.Conv2d(cs, ct, 1)
    elif hs == 2 * ht:
        r.conv = nn.Conv2d(cs, ct, 3, 2, 1)
    else:
        assert 2 * hs == ht
        r.conv = nn.ConvTranspose2d(cs, ct, 4, 2, 1)
    r.bn = nn.BatchNorm2d(ct)
    return r


def term(name, options, s, t, labels, aux):
    if name == "ce":
        return F.cross_entropy(s["logits"], labels, label_smoothing=options["label_smoothing"])
    if name == "kd":
        tau = options["T"]
        return tau**2 * F.kl_div(F.log_softmax(s["logits"] / tau, 1), F.softmax(t["logits"] / tau, 1),
                                 reduction="batchmean")
    if name == "fitnet":
        return (F.relu(aux.bn(aux.conv(s["post"][2]))) - t["post"][2]).pow(2).mean()
    if name == "at":
        return sum((attention(a, options["p"]) - attention(b, options["p"])).pow(2).mean()
                   for a, b in zip(s["post"][1:], t["post"][1:]))
    if name == "sp":
        a, b = s["post"][-1], t["post"][-1]
        return (gram(b) - gram(a)).pow(2).sum() / a.shape[0] ** 2
    raise ValueError(name)


def train(run, dtype, steps):
    name, batch = run["name"], run["batch"]
    student = nets.build(run["student"])
    fill.fill_module(student, "student/")
    teacher = aux = None
    if "teacher" in run:
        teacher = nets.build(run["teacher"])
        fill.fill_module(teacher, "teacher/")
        teacher.to(dtype).eval()
    if "fitnet" in run["terms"]:
        with torch.no_grad():
            probe = torch.zeros(1, 3, 32, 32)
            aux = regressor(nets.build(run["student"])(probe)["post"][2].shape,
                            nets.build(run["teacher"])(probe)["post"][2].shape)
        fill.fill_module(aux, "fitnet/")
        aux.to(dtype).train()
    student.to(dtype).train()
    named = dict(student.named_parameters())
    if aux is not None:
        named.update({f"fitnet/{k}": p for k, p in aux.named_parameters()})
    params = list(named.values())
    o = run["optimizer"]
    if o["kind"] == "sgd":
        optimizer = torch.optim.SGD(params, o["lr"], o["momentum"], 0, o["weight_decay"], o["nesterov"])
    else:
        optimizer = torch.optim.Adam(params, o["lr"], (o["beta1"], o["beta2"]), o["eps"], o["weight_decay"])
    losses = {k: [] for k in ["total", *run["terms"]] + (["grad_norm"] if "clip_norm" in run else [])}
    grads = None
    for k in range(steps):
        x = torch.from_numpy(fill.fill(f"{name}/input.{k}", (batch, 3, 32, 32))).to(dtype)
        y = torch.from_numpy(fill.labels(f"{name}/label.{k}", batch, 100))
        t = None
        if teacher is not None:
            with torch.no_grad():
                t = teacher(x)
        s = student(x)
        terms = {n: term(n, opt, s, t, y, aux) for n, opt in run["terms"].items()}
        total = sum(run["terms"][n]["weight"] * v for n, v in terms.items())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        for p in params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        if grads is None:
            grads = {n: p.grad.clone() for n, p in named.items()}
        if "clip_norm" in run:
            losses["grad_norm"].append(nn.utils.clip_grad_norm_(params, run["clip_norm"]).item())
        if "lr_per_step" in run:
            optimizer.param_groups[0]["lr"] = run["lr_per_step"][k]
        optimizer.step()
        for n, v in terms.items():
            losses[n].append(v.item())
        losses["total"].append(total.item())
    state = dict(student.state_dict())
    if aux is not None:
        state.update({f"fitnet/{k}": v for k, v in aux.state_dict().items()})
    return losses, grads, state


def chosen(names):
    """The first and the last convolution or linear weight, a batch norm with its statistics, the last bias, FitNet's."""
    own = [n for n in names if not n.startswith("fitnet/")]
    weights = [n for n in own if n.endswith("weight")]
    norms = [n for n in own if n.endswith("running_var")]
    picks = [weights[0], weights[len(weights) // 2], weights[-1], own[-1]]
    for n in norms[:1] + norms[-1:]:
        stem = n[:-len("running_var")]
        picks += [stem + leaf for leaf in ("weight", "bias", "running_mean", "running_var")]
    picks += [n for n in names if n.startswith("fitnet/") and not n.endswith("num_batches_tracked")]
    return [n for n in dict.fromkeys(picks) if n in names]


def main():
    torch.set_num_threads(2)
    out, steps = [], 10
    for run in RUNS:
        l64, g64, s64 = train(run, torch.float64, steps)
        l32, _, s32 = train(run, torch.float32, steps)
        error = max(abs(a - b) / abs(b) for a, b in zip(l32["total"], l64["total"]))
        picks = chosen(list(s64))
        # the bias of a convolution before a batch norm has a gradient of rounding noise only
        gradient_picks = [n for n in picks if n in g64 and g64[n].abs().mean() > 1e-12]
        drift = max(((s32[n] - s64[n]).abs().max() / s64[n].abs().mean()).item() for n in picks)
        print(f"{run['name']:12s} f32_error {error:.1e}  after {drift:.1e}  totals "
              + " ".join(f"{v:.4g}" for v in l64["total"]), flush=True)
        assert error < 2e-5, (run["name"], error)
        out.append(dict(run, classes=100, steps=steps, f32=golden_io.rounded(l32, 8), f64=l64,
                        f32_error=float(f"{error:.2g}"), after_f32_error=float(f"{drift:.2g}"),
                        grads={n: summary(g64[n]) for n in gradient_picks},
                        after={n: summary(s64[n]) for n in picks}))
    golden_io.write("trajectory.json", {"runs": out})


if __name__ == "__main__":
    main()
