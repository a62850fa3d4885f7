"""Golden logits and taps of every CIFAR network.      /usr/bin/python3 tests/golden/make_models.py

Writes models.json:
  {"classes": 100, "input": "input", "input_dims": [3,32,32],
   "nets": {NAME: {"params": N, "eval": RUN, "train": RUN}}}
  RUN = {"batch": n,                       input = Fill("input", [n,3,32,32])  (offset 0, scale 2)
         "logits0": [100 values],          all logits of sample 0
         "f32_error": e,                   max |f32 - f64| / max |f64| of the logits, both by PyTorch
         "tensors": {T: SUM},              T = post0 .. postK, pre1 .. preK, pooled, logits  (pre0 is post0)
         train only:
         "running_mean": SUM, "running_var": SUM,     the buffers after this one forward pass
         "labels": [...], "ce": loss,      mean cross-entropy; labels = FillLabels("label", n, 100)
         "grads": SUM, "grad_first": SUM}  d ce / d parameters, and of the first convolution's weight alone
                                           (SUM of several tensors: concatenated in ascending order of their names)
  SUM = {"dims": [...], "mean": m, "mean_abs": a, "at": [row-major indices], "values": [entries there]}
Weights: Fill(parameter name) with the kind of the suffix (fill.py). eval uses batch 2 and running statistics, train uses
batch 4 and batch statistics. All values are float64 arithmetic on float32 inputs and weights.
"""

import torch
from torch.nn import functional as F

import fill
import golden_io
import nets


def summary(t):
    flat = t.detach().double().flatten()
    n = flat.numel()
    at = sorted({(k * n) // 5 + (k * 7919) % max(1, n // 5) for k in range(5)})
    return {"dims": list(t.shape), "mean": flat.mean().item(), "mean_abs": flat.abs().mean().item(), "at": at,
            "values": [flat[i].item() for i in at]}


def forward(name, train, dtype):
    net = nets.build(name)
    fill.fill_module(net)
    net.to(dtype).train(train)
    batch = 4 if train else 2
    x = torch.from_numpy(fill.fill("input", (batch, 3, 32, 32))).to(dtype)
    with torch.set_grad_enabled(train):
        return net, net(x)


def run(name, train):
    net, out = forward(name, train, torch.float64)
    _, out32 = forward(name, train, torch.float32)
    logits = out["logits"]
    tensors = {f"post{i}": summary(t) for i, t in enumerate(out["post"])}
    tensors.update({f"pre{i}": summary(t) for i, t in enumerate(out["pre"]) if i > 0})
    tensors.update(pooled=summary(out["pooled"]), logits=summary(logits))
    r = {"batch": logits.shape[0], "logits0": logits[0], "tensors": tensors,
         "f32_error": float(f"{((out32['logits'] - logits).abs().max() / logits.abs().max()).item():.2g}")}
    if train:
        labels = fill.labels("label", logits.shape[0], 100)
        ce = F.cross_entropy(logits, torch.from_numpy(labels))
        ce.backward()
        grads = {k: p.grad for k, p in net.named_parameters()}
        r.update(labels=labels, ce=ce.item(), grad_first=summary(next(iter(grads.values()))),
                 grads=summary(torch.cat([grads[k].flatten() for k in sorted(grads)])))
        state = net.state_dict()
        for buffer in ("running_mean", "running_var"):
            r[buffer] = summary(torch.cat([state[k] for k in sorted(state) if k.endswith(buffer)]))
    return r


def main():
    torch.set_num_threads(2)
    out = {}
    for name, params in nets.PARAMS.items():
        assert nets.count_params(nets.build(name)) == params
        out[name] = {"params": params, "eval": run(name, False), "train": run(name, True)}
    golden_io.write("models.json", {"classes": 100, "input": "input", "input_dims": [3, 32, 32], "nets": out})


if __name__ == "__main__":
    main()
