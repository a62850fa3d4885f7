"""Golden losses and gradients of the distillation methods.      /usr/bin/python3 tests/golden/make_methods.py

Writes methods.json:
  {"weights": {METHOD: {"ce": r, METHOD: w}},       the CRD benchmark's default weights; not applied to the values below
   "cases": [CASE]}
  CASE = {"name", "method": "ce" | "kd" | "fitnet" | "at" | "sp",
          "options": {...},                         label_smoothing | T | regressor geometry | p
          "inputs": {NAME: {"dims", "fill", "offset", "scale"}},   x = float32(offset + scale * v), fill.py
          "labels": [...], "classes": K,            ce only
          "order": [...],                           the inputs that are stage taps, student and teacher paired in order
          "loss": value,                            the raw term: KD contains T^2, nothing contains a weight
          "grads": {NAME: {"dims", "values"}},      d loss / d input, complete, row-major; student inputs and parameters
          "after": {NAME: {"dims", "values"}}}      fitnet: running_mean and running_var after the step
Input names: z_s, z_t logits [b,k]; f_s, f_t or f1_s, f1_t, f2_s ... feature maps [b,c,h,w]; conv.weight, conv.bias,
bn.weight, bn.bias, bn.running_mean, bn.running_var the regressor (a transposed conv's weight is [c_in,c_out,kh,kw]).
All arithmetic is float64 on the float32 inputs.

Formulas
  ce      -1/B sum_b sum_k q log softmax(z_s),  q = (1 - e) onehot + e / K
  kd      T^2 1/B sum_b sum_k p_t (log p_t - log p_s),  p = softmax(z / T)
  fitnet  mean (R(f_s) - f_t)^2,  R = ReLU(BN(conv(f_s))), batch statistics, biased variance, eps 1e-5, momentum 0.1
  at      sum over pairs of mean_{b,hw} (q_s - q_t)^2,  A = mean_c |f|^p,  q = A / max(||A||, 1e-12);
          the larger map is first averaged adaptively to the smaller one's size
  sp      1/B^2 || G(f_t) - G(f_s) ||_F^2,  G = rows of X X' divided by max(norm, 1e-12),  X = f as [b, c h w]
"""

import torch
from torch.nn import functional as F

import fill
import golden_io

WEIGHTS = {
    "ce": {"ce": 1.0},
    "kd": {"ce": 0.1, "kd": 0.9},
    "fitnet": {"ce": 1.0, "fitnet": 100.0},
    "at": {"ce": 1.0, "at": 1000.0},
    "sp": {"ce": 1.0, "sp": 3000.0},
}


class Case:
    """Collects the inputs of one case and computes its loss and gradients."""

    def __init__(self, name, method, **options):
        self.record = {"name": name, "method": method, "options": options, "inputs": {}}
        self.tensors = {}

    def input(self, name, dims, offset=0.0, scale=1.0):
        key = f"{self.record['name']}/{name}"
        self.record["inputs"][name] = {"dims": list(dims), "fill": key, "offset": offset, "scale": scale}
        t = torch.from_numpy(fill.affine(key, dims, offset, scale)).double()
        self.tensors[name] = t.requires_grad_("_t" not in name and "running" not in name)
        return self.tensors[name]

    def finish(self, loss, **extra):
        loss.backward()
        full = lambda t: {"dims": list(t.shape), "values": t.detach().flatten()}
        self.record.update(extra, loss=loss.item(),
                           grads={k: full(t.grad) for k, t in self.tensors.items() if t.requires_grad})
        return self.record


def cross_entropy(name, batch, classes, smoothing, scale=2.0):
    c = Case(name, "ce", label_smoothing=smoothing)
    z = c.input("z_s", (batch, classes), scale=scale)
    y = fill.labels(f"{name}/labels", batch, classes)
    logp = z - torch.logsumexp(z, 1, keepdim=True)
    q = torch.full_like(logp, smoothing / classes)
    q[torch.arange(batch), torch.from_numpy(y)] += 1 - smoothing
    loss = -(q * logp).sum() / batch
    torch.testing.assert_close(loss, F.cross_entropy(z, torch.from_numpy(y), label_smoothing=smoothing))
    return c.finish(loss, labels=y, classes=classes)


def kd(name, batch, classes, temperature, scale=3.0):
    c = Case(name, "kd", T=temperature)
    s = c.input("z_s", (batch, classes), scale=scale)
    t = c.input("z_t", (batch, classes), scale=2 * scale)
    log_s, log_t = F.log_softmax(s / temperature, 1), F.log_softmax(t / temperature, 1)
    loss = temperature**2 * (log_t.exp() * (log_t - log_s)).sum() / batch
    torch.testing.assert_close(loss, temperature**2 * F.kl_div(log_s, log_t.exp(), reduction="batchmean"))
    return c.finish(loss)


def fitnet(name, student, teacher):
    (_, cs, hs, ws), (_, ct, ht, wt) = student, teacher
    if hs == 2 * ht:
        geometry = {"transposed": False, "kernel": [3, 3], "stride": 2, "padding": 1}
    elif 2 * hs == ht:
        geometry = {"transposed": True, "kernel": [4, 4], "stride": 2, "padding": 1}
    else:
        geometry = {"transposed": False, "kernel": [1 + hs - ht, 1 + ws - wt], "stride": 1, "padding": 0}
    c = Case(name, "fitnet", momentum=0.1, eps=1e-5, **geometry)
    fs = c.input("f_s", student, 0.25, 1.0)
    ft = c.input("f_t", teacher, 0.5, 1.0)
    w = c.input("conv.weight", ((cs, ct) if geometry["transposed"] else (ct, cs)) + tuple(geometry["kernel"]), scale=0.5)
    b = c.input("conv.bias", (ct,), scale=0.1)
    gamma, beta = c.input("bn.weight", (ct,), 1.0, 0.2), c.input("bn.bias", (ct,), scale=0.1)
    mean, var = c.input("bn.running_mean", (ct,), scale=0.1), c.input("bn.running_var", (ct,), 1.0, 0.5)
    mean, var = mean.clone(), var.clone()
    convolve = F.conv_transpose2d if geometry["transposed"] else F.conv2d
    y = convolve(fs, w, b, stride=geometry["stride"], padding=geometry["padding"])
    r = F.relu(F.batch_norm(y, mean, var, gamma, beta, training=True, momentum=0.1, eps=1e-5))
    assert r.shape == ft.shape
    after = {"bn.running_mean": mean, "bn.running_var": var}
    record = c.finish(((r - ft) ** 2).mean(),
                      after={k: {"dims": list(t.shape), "values": t} for k, t in after.items()})
    # the bias before a batch norm has no effect: its gradient is rounding noise around zero
    assert max(abs(g) for g in record["grads"]["conv.bias"]["values"]) < 1e-12
    record["grads"]["conv.bias"]["values"] = [0.0] * ct
    return record


def attention(f, power):
    a = f.abs().pow(power).mean(1).flatten(1)
    return a / a.norm(dim=1, keepdim=True).clamp_min(1e-12)


def at(name, pairs, power=2):
    c = Case(name, "at", p=power)
    loss, order = 0.0, []
    for i, (student, teacher) in enumerate(pairs, 1):
        fs = c.input(f"f{i}_s", student)
        ft = c.input(f"f{i}_t", teacher, 0.25, 1.5)
        order.append([f"f{i}_s", f"f{i}_t"])
        size = min(fs.shape[2], ft.shape[2])
        fs, ft = (F.adaptive_avg_pool2d(f, size) if f.shape[2] > size else f for f in (fs, ft))
        loss = loss + (attention(fs, power) - attention(ft, power)).pow(2).mean()
    return c.finish(loss, order=order)


def gram(f):
    x = f.flatten(1)
    g = x @ x.t()
    return g / g.norm(dim=1, keepdim=True).clamp_min(1e-12)


def sp(name, student, teacher):
    c = Case(name, "sp")
    fs, ft = c.input("f_s", student, 0.125, 1.0), c.input("f_t", teacher, 0.25, 1.0)
    return c.finish((gram(ft) - gram(fs)).pow(2).sum() / student[0] ** 2, order=[["f_s", "f_t"]])


def main():
    torch.set_num_threads(1)
    cases = [
        cross_entropy("ce", 6, 10, 0.0),
        cross_entropy("ce_smooth", 6, 10, 0.1),
        cross_entropy("ce_large_logits", 3, 5, 0.0, scale=200.0),
        kd("kd_t4", 6, 10, 4.0),
        kd("kd_t1", 6, 10, 1.0),
        kd("kd_t2_large_logits", 3, 5, 2.0, scale=100.0),
        fitnet("fitnet_equal", (3, 4, 4, 4), (3, 6, 4, 4)),
        fitnet("fitnet_down", (3, 4, 8, 8), (3, 5, 4, 4)),
        fitnet("fitnet_up", (3, 5, 3, 3), (3, 4, 6, 6)),
        fitnet("fitnet_shrink", (2, 3, 5, 5), (2, 4, 3, 3)),
        at("at_one", [((3, 4, 4, 4), (3, 6, 4, 4))]),
        at("at_three", [((2, 3, 6, 6), (2, 3, 6, 6)), ((2, 4, 3, 3), (2, 5, 3, 3)), ((2, 6, 2, 2), (2, 7, 2, 2))]),
        at("at_student_larger", [((2, 3, 8, 8), (2, 5, 4, 4))]),
        at("at_teacher_larger", [((2, 3, 3, 3), (2, 4, 7, 7))]),
        at("at_power4", [((2, 3, 4, 4), (2, 4, 4, 4))], power=4),
        sp("sp_same", (4, 3, 3, 3), (4, 3, 3, 3)),
        sp("sp_other_dims", (5, 3, 4, 4), (5, 8, 2, 2)),
        sp("sp_one_sample", (1, 3, 2, 2), (1, 4, 2, 2)),
    ]
    for record in cases:
        assert 1e-12 < record["loss"] < 1e3 or record["name"] == "sp_one_sample", record["name"]
    golden_io.write("methods.json", {"weights": WEIGHTS, "cases": cases})


if __name__ == "__main__":
    main()
