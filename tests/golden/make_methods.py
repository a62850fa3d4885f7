"""Golden losses and gradients of the distillation methods.      /usr/bin/python3 tests/golden/make_methods.py

Writes methods.json:
  {"weights": {METHOD: {"ce": r, METHOD: w}},       the CRD benchmark's default weights; not applied to the values below
   "cases": [CASE]}
  CASE = {"name", "method",
          "options": {...},                         label_smoothing | T | regressor geometry | p
          "set": {...},                             options of the library, as text
          "inputs": {NAME: {"dims", "fill", "offset", "scale"}},   x = float32(offset + scale * v), fill.py
          "labels": [...], "classes": K,            where the method reads labels
          "order": [...],                           the inputs that are stage taps, student and teacher paired in order
          "loss": value,                            the raw term: KD contains T^2, nothing contains a weight
          "grads": {NAME: {"dims", "values"}},      d loss / d input, complete, row-major; student inputs and parameters
          "after": {NAME: {"dims", "values"}}}      fitnet: running_mean and running_var after the step
Input names: z_s, z_t logits [b,k]; f_s, f_t or f1_s, f1_t, f2_s ... feature maps [b,c,h,w]; x_s, x_t pooled vectors
[b,c]; m_s, m_t the maps that pooling reads; z1_s, x1_s, m1_s ... those of the auxiliary classifier on stage 1; names with
a dot are parameters: conv.weight, conv.bias, bn.weight, bn.bias, bn.running_mean, bn.running_var the regressor (a
transposed conv's weight is [c_in,c_out,kh,kw]), others as the method's file names them.
All arithmetic is float64 on the float32 inputs.

Formulas
  ce      -1/B sum_b sum_k q log softmax(z_s),  q = (1 - e) onehot + e / K
  kd      T^2 1/B sum_b sum_k p_t (log p_t - log p_s),  p = softmax(z / T)
  fitnet  mean (R(f_s) - f_t)^2,  R = ReLU(BN(conv(f_s))), batch statistics, biased variance, eps 1e-5, momentum 0.1
  at      sum over pairs of mean_{b,hw} (q_s - q_t)^2,  A = mean_c |f|^p,  q = A / max(||A||, 1e-12);
          the larger map is first averaged adaptively to the smaller one's size
  sp      1/B^2 || G(f_t) - G(f_s) ||_F^2,  G = rows of X X' divided by max(norm, 1e-12),  X = f as [b, c h w]
  vid     sum over stages of mean 1/2 ((mu(f_s) - f_t)^2 / v + log v),  v = log(1 + exp rho) + 1e-5
  dsn     sum over heads of CE(z_l, y)
  byot    sum over heads of 0.7 CE(z_l, y) + 0.3 softCE_3(z_s to z_l) + 0.03 D(x_l, x_s)
  dks     sum over heads of CE(z_l, y) + sum over ordered pairs of KL(z_j to z_i), z_j constant
  dskd    16 mean_b (k_L + sum_l W_l k_l) + 30 mean_b (m_L + sum_l V_l m_l), W and V the heads' shares of k and m
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
    "vid": {"ce": 1.0, "vid": 1.0},
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
        self.tensors[name] = t.requires_grad_(not name.endswith("_t") and "running" not in name)
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


# ---- Methods of deep supervision, and VID ----

def soft(z, tau):
    return torch.softmax(z / tau, 1)


def vid(name, pairs):
    c = Case(name, "vid")
    loss, order = 0.0, []
    for i, (student, teacher) in enumerate(pairs, 1):
        fs, ft = c.input(f"f{i}_s", student), c.input(f"f{i}_t", teacher, 0.25, 1.5)
        order.append([f"f{i}_s", f"f{i}_t"])
        ct, size = teacher[1], min(student[2], teacher[2])
        fs, ft = (F.adaptive_avg_pool2d(f, size) if f.shape[2] > size else f for f in (fs, ft))
        for j, cin in enumerate((student[1], ct, ct), 1):
            fs = F.conv2d(fs, c.input(f"stage{i}.conv{j}.weight", (ct, cin, 1, 1), scale=0.75))
            fs = F.relu(fs) if j < 3 else fs
        rho = c.input(f"stage{i}.rho", (ct,), 1.0, 2.0)
        v = (torch.log1p(rho.exp()) + 1e-5).view(1, ct, 1, 1)
        loss = loss + 0.5 * ((fs - ft) ** 2 / v + v.log()).mean()
    return c.finish(loss, order=order)


def heads_of(c, kind, dims, heads, **fill_options):
    """{stage: the input of that head}, and at last under "s" the student's own."""
    out = {l: c.input(f"{kind}{l}_s", dims, **fill_options) for l in heads}
    out["s"] = c.input(f"{kind}_s", dims, **fill_options)
    return out


def dsn(name, batch, classes, heads=(1, 2)):
    c = Case(name, "dsn")
    z = heads_of(c, "z", (batch, classes), heads, scale=2.0)
    y = fill.labels(f"{name}/labels", batch, classes)
    loss = sum(F.cross_entropy(z[l], torch.from_numpy(y)) for l in heads) + 0 * z["s"].sum()
    return c.finish(loss, labels=y, classes=classes, set={"heads": "".join(map(str, heads))})


def byot(name, batch, classes, width, variant, alpha=0.3, lam=0.03, tau=3.0, heads=(1, 2)):
    c = Case(name, "byot")
    z, x = heads_of(c, "z", (batch, classes), heads, scale=2.0), heads_of(c, "x", (batch, width), heads, offset=0.5)
    y = torch.from_numpy(fill.labels(f"{name}/labels", batch, classes))
    loss = 0 * z["s"].sum() + 0 * x["s"].sum()
    q, target = soft(z["s"], tau).detach(), x["s"].detach()
    for l in heads:
        loss = loss + (1 - alpha) * F.cross_entropy(z[l], y)
        loss = loss + alpha * -(q * F.log_softmax(z[l] / tau, 1)).sum(1).mean()
        if variant == "journal":
            w, b = c.input(f"adapt{l}.weight", (width, width), scale=0.5), c.input(f"adapt{l}.bias", (width,), scale=0.25)
            loss = loss + lam * torch.linalg.norm(F.linear(x[l], w, b) - target)
        else:
            loss = loss + lam * ((x[l] - target) ** 2).sum(1).mean()
    return c.finish(loss, labels=y.numpy(), classes=classes, set={"variant": variant, "heads": "12"})


def dks(name, batch, classes, heads=(1, 2), tau=1.0):
    c = Case(name, "dks")
    z = heads_of(c, "z", (batch, classes), heads, scale=2.0)
    y = torch.from_numpy(fill.labels(f"{name}/labels", batch, classes))
    loss = sum(F.cross_entropy(z[l], y) for l in heads)
    for i in z:
        for j in z:
            if i != j:
                loss = loss + F.kl_div(F.log_softmax(z[i] / tau, 1), soft(z[j], tau).detach(), reduction="batchmean")
    return c.finish(loss, labels=y.numpy(), classes=classes, set={"heads": "12"})


def dskd(name, batch, classes, student, teacher, heads=(1, 2), alpha=1.0, beta=30.0, tau=4.0, weights="adaptive",
         weight_grad="no", proj="always"):
    c = Case(name, "dskd")
    z = heads_of(c, "z", (batch, classes), heads, scale=3.0)
    zt = c.input("z_t", (batch, classes), scale=6.0)
    if beta:
        m, mt = heads_of(c, "m", student, heads, offset=0.5), c.input("m_t", teacher, 0.75, 0.75)
    size = min(student[2], teacher[2])
    losses = {"k": {}, "m": {}}
    for l in z:
        losses["k"][l] = (soft(zt, tau) * (F.log_softmax(zt / tau, 1) - F.log_softmax(z[l] / tau, 1))).sum(1)
        if not beta:
            continue
        f = F.adaptive_avg_pool2d(m[l], size)
        if proj == "always" or student[1] != teacher[1]:
            r = "proj" if l == "s" else f"proj{l}"
            w, b = c.input(f"{r}.conv.weight", (teacher[1], student[1], 1, 1)), c.input(f"{r}.conv.bias", (teacher[1],))
            gamma = c.input(f"{r}.bn.weight", (teacher[1],), 1.0, 0.25)
            shift = c.input(f"{r}.bn.bias", (teacher[1],), scale=0.25)
            f = F.relu(F.batch_norm(F.conv2d(f, w, b), None, None, gamma, shift, training=True, eps=1e-5))
        losses["m"][l] = (F.adaptive_avg_pool2d(mt, size) - f).pow(2).mean((1, 2, 3))
    loss = 0.0
    for key, factor in (("k", alpha * tau**2), ("m", beta)):
        per = losses[key]
        if not per:
            continue
        total = sum(per[l] for l in heads)
        for l in per:
            w = 1.0 if l == "s" else per[l] / total if weights == "adaptive" else torch.tensor(1 / len(heads))
            if l != "s" and weight_grad == "no":
                w = w.detach()
            loss = loss + factor * (w * per[l]).mean()
    record = c.finish(loss, set={"weights": weights, "weight_grad": weight_grad, "proj": proj, "alpha": str(alpha),
                                  "beta": str(beta), "heads": "".join(map(str, heads)) or "none"})
    for k, g in record["grads"].items():  # before a batch norm: rounding noise around zero
        if k.endswith("conv.bias"):
            assert g["values"].abs().max() < 1e-12
            g["values"] = torch.zeros(len(g["values"]))
    return record


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
        vid("vid", [((2, 3, 4, 4), (2, 4, 4, 4)), ((2, 4, 4, 4), (2, 3, 2, 2)), ((2, 2, 1, 1), (2, 3, 2, 2))]),
        dsn("dsn", 4, 5),
        dsn("dsn_deep_head_only", 4, 5, heads=(2,)),
        byot("byot", 4, 5, 3, "journal"),
        byot("byot_conference", 4, 5, 3, "conference"),
        dks("dks", 4, 5),
        dskd("dskd", 3, 5, (3, 3, 4, 4), (3, 4, 2, 2)),
        dskd("dskd_equal", 3, 5, (3, 3, 2, 2), (3, 4, 4, 4), weights="equal"),
        dskd("dskd_through_weights", 3, 5, (3, 3, 2, 2), (3, 3, 2, 2), weight_grad="yes"),
        dskd("dskd_no_projection", 3, 5, (3, 3, 2, 2), (3, 3, 2, 2), proj="auto"),
        dskd("dskd_no_maps", 3, 5, (3, 3, 2, 2), (3, 4, 2, 2), beta=0.0),
        dskd("dskd_one_head", 3, 5, (3, 3, 2, 2), (3, 4, 2, 2), heads=(2,)),
        dskd("dskd_no_head", 3, 5, (3, 3, 2, 2), (3, 4, 2, 2), heads=()),
    ]
    for record in cases:
        assert 1e-12 < record["loss"] < 1e3 or record["name"] == "sp_one_sample", record["name"]
    golden_io.write("methods.json", {"weights": WEIGHTS, "cases": cases})


if __name__ == "__main__":
    main()
