"""Golden losses and gradients of the distillation methods.      /usr/bin/python3 tests/golden/make_methods.py

Writes methods.json:
  {"weights": {METHOD: {"ce": r, METHOD: w}},       the CRD benchmark's default weights; not applied to the values below
   "cases": [CASE]}
  CASE = {"name", "method",
          "options": {...},                         label_smoothing | T | regressor geometry | p
          "set": {...},                             options of the library, as text
          "inputs": {NAME: {"dims", "fill", "offset", "scale"}},   x = float32(offset + scale * v), fill.py
          "labels": [...], "classes": K,            where the method reads labels
          "ids": [...], "samples": n, "epoch": e,   crd; dkd
          "order": [...],                           the inputs that are stage taps, student and teacher paired in order
          "loss": value,                            the raw term: KD contains T^2, nothing contains a weight
          "grads": {NAME: {"dims", "values"}},      d loss / d input, complete, row-major; student inputs and parameters
          "after": {NAME: {"dims", "values"}}}      running statistics, crd's memories after the step
Input names: z_s, z_t logits [b,k]; f_s, f_t or f1_s, f1_t, f2_s ... feature maps [b,c,h,w]; x_s, x_t pooled vectors
[b,c]; m_s, m_t the maps that pooling reads; g1_s, g1_t ... maps before the activation; z1_s, x1_s, m1_s ... those of the auxiliary classifier on stage 1; names with
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
  rkd     25 mean smoothL1 of distances + 50 mean smoothL1 of cosines, from differences of vectors
  pkt     mean P_t log ((P_t + 1e-7) / (P_s + 1e-7))
  cc      sum_i <|e_s - e_t|_i, |e_s - e_t|_{i+1}> / (b - 1); paper: mean (K_s - K_t)^2 of second-order kernels
  nst     sum over stages of mean k_tt + mean k_ss - 2 mean k_st,  k = <channel, channel'>^2
  ab      3/1000 / b sum over stages of 2^(i-K) sum of the squared margins
  ft      mean |phi(F_s) - phi(F_t)|
  fsp     sum over consecutive taps of mean (G_s - G_t)^2
  crd     every sample of another class is a negative
  normkd  mean tau_t^2 KL(z_t / tau_t to z_s / tau_s),  tau = 2 std
  dkd     ramp T^2 (KL of (p_y, 1 - p_y) + 8 KL of the other classes' softmax)
"""

import math

import numpy as np
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
    "rkd": {"ce": 1.0, "rkd": 1.0},
    "pkt": {"ce": 1.0, "pkt": 30000.0},
    "cc": {"ce": 1.0, "cc": 0.02},
    "nst": {"ce": 1.0, "nst": 50.0},
    "ft": {"ce": 1.0, "ft": 200.0},
    "crd": {"ce": 1.0, "crd": 0.8},
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
                           grads={k: full(t.grad) for k, t in self.tensors.items() if t.grad is not None})
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


# ---- Relations, factors, boundaries, contrast ----

def rkd(name, student, teacher):
    c = Case(name, "rkd")
    xs, xt = c.input("x_s", student, 0.5, 1.0), c.input("x_t", teacher, 0.5, 1.0)

    def relations(x):
        difference = x.unsqueeze(0) - x.unsqueeze(1)  # [i, j] = x_j - x_i
        d = difference.pow(2).sum(2)
        d = torch.where(d > 0, d.clamp_min(1e-12).sqrt(), torch.zeros_like(d))
        e = F.normalize(difference, p=2, dim=2)
        return d / d[d > 0].mean(), torch.bmm(e, e.transpose(1, 2))

    (ds, a_s), (dt, a_t) = relations(xs), relations(xt)
    return c.finish(25 * F.smooth_l1_loss(ds, dt) + 50 * F.smooth_l1_loss(a_s, a_t))


def pkt(name, student, teacher):
    c = Case(name, "pkt")
    xs, xt = c.input("x_s", student, 0.5, 1.0), c.input("x_t", teacher, 0.5, 1.0)

    def probabilities(x):
        x = x / (x.norm(dim=1, keepdim=True) + 1e-7)
        k = (x @ x.t() + 1) / 2
        return k / k.sum(1, keepdim=True)

    ps, pt = probabilities(xs), probabilities(xt)
    return c.finish((pt * torch.log((pt + 1e-7) / (ps + 1e-7))).mean())


def embed(c, side, x, width):
    w = c.input(f"embed_{side}.weight", (width, x.shape[1]))
    return F.linear(x, w, c.input(f"embed_{side}.bias", (width,), scale=0.25))


def cc(name, student, teacher, width, form):
    c = Case(name, "cc")
    es, et = (embed(c, side, c.input(f"x_{side}", dims), width) for side, dims in (("s", student), ("t", teacher)))
    if form == "code":
        delta = (es - et).abs()
        loss = (delta[:-1] * delta[1:]).sum() / (len(delta) - 1)
    else:
        def kernel(e, gamma=0.4):
            dot = F.normalize(e, dim=1) @ F.normalize(e, dim=1).t()
            return math.exp(-2 * gamma) * sum((2 * gamma) ** q / math.factorial(q) * dot**q for q in (0, 1, 2))

        loss = (kernel(es) - kernel(et)).pow(2).sum() / student[0] ** 2
    return c.finish(loss, set={"form": form, "width": str(width)})


def nst(name, pairs):
    c = Case(name, "nst")
    loss = 0.0
    for i, (student, teacher) in enumerate(pairs, 1):
        fs, ft = c.input(f"f{i}_s", student), c.input(f"f{i}_t", teacher, 0.25, 1.5)
        size = min(student[2], teacher[2])
        fs, ft = (F.normalize(F.adaptive_avg_pool2d(f, size).flatten(2), dim=2) for f in (fs, ft))
        kernel = lambda a, b: torch.einsum("bch,bdh->bcd", a, b).pow(2).mean()
        loss = loss + kernel(ft, ft) + kernel(fs, fs) - 2 * kernel(fs, ft)
    return c.finish(loss)


def ab(name, pairs, margin=1.0):
    c = Case(name, "ab")
    loss = 0.0
    for i, (student, teacher) in enumerate(pairs, 1):
        s, t = c.input(f"g{i}_s", student, 0.0, 2.0), c.input(f"g{i}_t", teacher)
        if student != teacher:
            w = c.input(f"stage{i}.conv.weight", (teacher[1], student[1], 1, 1))
            b = c.input(f"stage{i}.conv.bias", (teacher[1],))
            gamma, beta = c.input(f"stage{i}.bn.weight", (teacher[1],), 1.0, 0.25), c.input(f"stage{i}.bn.bias", (teacher[1],))
            s = F.batch_norm(F.conv2d(s, w, b), None, None, gamma, beta, training=True, eps=1e-5)
        low = (t <= 0) & (s > -margin)
        high = (t > 0) & (s <= margin)
        ell = (s + margin) ** 2 * low + (s - margin) ** 2 * high
        loss = loss + 2.0 ** (i - len(pairs)) * 3 / 1000 * ell.sum() / student[0]
    record = c.finish(loss, set={"weight": "1", "margin": str(margin)})
    for k, g in record["grads"].items():
        if k.endswith("conv.bias"):
            assert g["values"].abs().max() < 1e-12
            g["values"] = torch.zeros(len(g["values"]))
    return record


def ft(name, student, teacher, mode, p=1):
    c = Case(name, "ft")
    fs, ft = c.input("f_s", student), c.input("f_t", teacher, 0.25, 1.0)
    ct, m = teacher[1], teacher[1] // 2
    for i, (a, b) in enumerate(((ct, ct), (ct, m), (m, m)), 1):
        w, bias = c.input(f"encoder{i}.weight", (b, a, 3, 3), scale=0.5), c.input(f"encoder{i}.bias", (b,))
        ft = F.leaky_relu(F.conv2d(ft, w, bias, padding=1), 0.1)
    ft, cs = ft.detach(), student[1]
    for i, (a, b) in enumerate(((cs, cs), (cs, m), (m, m)), 1):
        w, bias = c.input(f"conv{i}.weight", (b, a, 3, 3), scale=0.5), c.input(f"conv{i}.bias", (b,))
        fs = F.conv2d(fs, w, bias, padding=1)
        if mode == "crd":
            gamma, beta = c.input(f"bn{i}.weight", (b,), 1.0, 0.25), c.input(f"bn{i}.bias", (b,))
            fs = F.batch_norm(fs, None, None, gamma, beta, training=True, eps=1e-5)
        fs = F.leaky_relu(fs, 0.1)
    size = min(student[2], teacher[2])
    fs, ft = F.adaptive_avg_pool2d(fs, size), F.adaptive_avg_pool2d(ft, size)
    phi = (lambda f: F.normalize(f.pow(2).mean(1).flatten(1))) if mode == "crd" else (lambda f: F.normalize(f.flatten(1)))
    record = c.finish((phi(fs) - phi(ft)).abs().pow(p).mean(), set={"mode": mode, "p": str(p)})
    if mode == "crd":  # before a batch norm
        record["grads"] = {k: g for k, g in record["grads"].items() if not (k.startswith("conv") and k.endswith("bias"))}
    return record


def fsp(name, student, teacher):
    c = Case(name, "fsp")
    taps = {side: [c.input(f"f{i}_{side}", dims) for i, dims in enumerate(maps)]
            for side, maps in (("s", student), ("t", teacher))}

    def flow(f, g):
        size = min(f.shape[2], g.shape[2])
        f, g = F.adaptive_avg_pool2d(f, size), F.adaptive_avg_pool2d(g, size)
        return torch.einsum("bihw,bjhw->bij", f, g) / size**2

    loss = sum((flow(*taps["s"][i:i + 2]) - flow(*taps["t"][i:i + 2])).pow(2).mean() for i in range(len(student) - 1))
    return c.finish(loss, set={"weight": "1"})


def crd(name, student, teacher, width, samples, ids, z=(0.0, 0.0)):
    """All samples of other classes are negatives, which is what `negatives` = `samples` draws."""
    c = Case(name, "crd")
    of_id = fill.labels(f"{name}/labels", samples, 3)
    known = np.where(np.arange(samples) % 3 == 0, of_id, -1)
    y = torch.from_numpy(of_id[ids])
    es, et = (F.normalize(embed(c, side, c.input(f"x_{side}", dims), width), dim=1)
              for side, dims in (("s", student), ("t", teacher)))
    memory = {side: c.input(f"crd.memory_{side}", (samples, width)).detach() for side in "st"}
    written = {"crd.labels": ((samples, 1), known), "crd.z_s": ((), [z[0]]), "crd.z_t": ((), [z[1]])}
    for key, (dims, values) in written.items():
        c.record["inputs"][key] = {"dims": list(dims), "values": [float(v) for v in values]}
    known[ids] = of_id[ids]
    other = (torch.from_numpy(known)[None] != y[:, None]).double()
    noise, after, loss = 1.0, {}, 0.0
    for side, e, bank, z0 in (("s", es, memory["t"], z[0]), ("t", et, memory["s"], z[1])):
        scores = torch.exp(e @ bank.t() / 0.07)
        own = scores[torch.arange(len(ids)), ids]
        z1 = z0 if z0 > 0 else ((samples * (own.sum() + (other * scores).sum()) / (len(ids) + other.sum()))).item()
        w, w_own = scores / z1, own / z1
        loss = loss - (torch.log(w_own / (w_own + noise + 1e-7))
                       + (other * torch.log(noise / (w + noise + 1e-7))).sum(1)).mean()
        after[f"crd.z_{side}"] = torch.tensor([z1], dtype=torch.float64)
    for side, e in (("s", es), ("t", et)):
        bank = memory[side].clone()
        for row, i in enumerate(ids):
            bank[i] = F.normalize(0.5 * memory[side][i] + 0.5 * e[row].detach(), dim=0)
        after[f"crd.memory_{side}"] = bank
    after["crd.labels"] = torch.from_numpy(known.astype(float))
    return c.finish(loss, labels=y.numpy(), classes=3, ids=ids, samples=samples,
                    set={"negatives": str(samples), "width": str(width)},
                    after={k: {"dims": list(t.shape), "values": t.flatten()} for k, t in after.items()})


def normkd(name, batch, classes):
    c = Case(name, "normkd")
    s, t = c.input("z_s", (batch, classes), scale=3.0), c.input("z_t", (batch, classes), scale=6.0)
    tau_s, tau_t = 2 * s.std(1, keepdim=True), 2 * t.std(1, keepdim=True)
    kl = F.kl_div(F.log_softmax(s / tau_s, 1), F.softmax(t / tau_t, 1), reduction="none").sum(1)
    return c.finish((kl * tau_t.squeeze(1) ** 2).mean())


def dkd(name, batch, classes, epoch, warmup=20, alpha=1.0, beta=8.0, tau=4.0):
    c = Case(name, "dkd")
    s, t = c.input("z_s", (batch, classes), scale=3.0), c.input("z_t", (batch, classes), scale=6.0)
    y = torch.from_numpy(fill.labels(f"{name}/labels", batch, classes))
    right = F.one_hot(y, classes).bool()
    ps, pt = soft(s, tau), soft(t, tau)
    binary = lambda p: torch.stack((p[right], 1 - p[right]), 1)
    rest = lambda z: (z / tau)[~right].view(batch, classes - 1)
    target = F.kl_div(binary(ps).log(), binary(pt), reduction="batchmean")
    others = F.kl_div(F.log_softmax(rest(s), 1), F.softmax(rest(t), 1), reduction="batchmean")
    loss = min(1, (epoch + 1) / warmup) * tau**2 * (alpha * target + beta * others)
    return c.finish(loss, labels=y.numpy(), classes=classes, epoch=epoch)


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
        rkd("rkd", (4, 3), (4, 5)),
        rkd("rkd_three", (3, 4), (3, 4)),
        pkt("pkt", (4, 3), (4, 5)),
        cc("cc", (4, 3), (4, 5), 6, "code"),
        cc("cc_paper", (4, 3), (4, 5), 6, "paper"),
        nst("nst", [((2, 3, 4, 4), (2, 4, 4, 4)), ((2, 4, 2, 2), (2, 3, 4, 4))]),
        ab("ab", [((2, 3, 4, 4), (2, 3, 4, 4)), ((2, 3, 2, 2), (2, 4, 2, 2))]),
        ab("ab_narrow", [((2, 3, 2, 2), (2, 3, 2, 2))], margin=0.5),
        ft("ft", (2, 3, 4, 4), (2, 4, 2, 2), "crd"),
        ft("ft_square", (2, 3, 2, 2), (2, 4, 2, 2), "crd", p=2),
        ft("ft_paper", (2, 3, 2, 2), (2, 4, 2, 2), "paper"),
        fsp("fsp", [(2, 3, 4, 4), (2, 4, 4, 4), (2, 3, 2, 2)], [(2, 3, 4, 4), (2, 4, 2, 2), (2, 3, 2, 2)]),
        crd("crd", (4, 3), (4, 5), 6, 9, [5, 2, 5, 0]),
        crd("crd_later", (3, 3), (3, 5), 6, 9, [1, 2, 3], z=(12.5, 20.0)),
        normkd("normkd", 4, 5),
        dkd("dkd", 4, 5, 30),
        dkd("dkd_warming_up", 4, 5, 4),
    ]
    for record in cases:
        assert 1e-12 < record["loss"] < 1e3 or record["name"] == "sp_one_sample", record["name"]
    golden_io.write("methods.json", {"weights": WEIGHTS, "cases": cases})


if __name__ == "__main__":
    main()
