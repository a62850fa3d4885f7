"""Golden values of operations whose PyTorch meaning is easily misread.      /usr/bin/python3 tests/golden/make_ops.py

Writes ops.json:
  {"cases": [CASE]}
  CASE = {"name", "op", "attrs": {...},
          "inputs": {NAME: INPUT},              INPUT = {"dims", "fill", "offset", "scale"} or {"dims", "values"}
          "labels": [...],                      only cross_entropy
          "outputs": {NAME: TENSOR},            TENSOR = {"dims", "values"}, complete, row-major
          "seed": INPUT,                        dy, the gradient that enters at the output "y"
          "grads": {NAME: TENSOR},              sum(y * dy) differentiated by each input that has a gradient
          "grads2": {NAME: TENSOR}}             only batch_norm_double: see below
All arithmetic is float64 on float32 inputs. Input "x" is the data, "w" a weight, "b" a bias.

op                  attrs                                          meaning
resize_bilinear     h, w                                           align_corners False, no antialiasing
resize_nearest      h, w                                           source index floor(i in / out)
adaptive_avg_pool   h, w
adaptive_max_pool   h, w
avg_pool            kernel, stride, pad [h,w], count_include_pad, ceil_mode
max_pool            kernel, stride, pad [h,w], dilation, ceil_mode    gradient of a tie goes to its first element
conv2d              stride, pad, dilation [h,w], groups            w [o,c/groups,kh,kw]
conv_transpose2d    stride, pad, output_pad, dilation [h,w], groups   w [c,o/groups,kh,kw]
batch_norm          eps, momentum       training; outputs y, running_mean, running_var after the step (variance unbiased
                                        there, biased in y); inputs weight, bias, running_mean, running_var
batch_norm_eval     eps                 running statistics
batch_norm_double   eps                 g = d sum(y * dy) / dx; grads2 = d (sum g^2) / d {x, weight, dy}; output "g"
log_softmax         axis
smooth_l1           beta                mean; inputs x, t. |e| < beta: e^2 / (2 beta), else |e| - beta / 2
kl_div              reduction batchmean: inputs x (log-probabilities = log_softmax(x)), t (probabilities = softmax(t))
cross_entropy       label_smoothing     mean over samples; target (1-e) onehot + e / classes
channel_shuffle     groups
top_k               k                   along the last axis, largest first; outputs y and index
kth_smallest        k (0-based)         along the last axis; outputs y [.., 1] and index
"""

import torch
from torch.nn import functional as F

import fill
import golden_io


class Case:
    def __init__(self, name, op, **attrs):
        self.record = {"name": name, "op": op, "attrs": attrs, "inputs": {}}
        self.tensors = {}

    def input(self, name, dims, offset=0.0, scale=2.0, values=None, grad=True):
        key = f"{self.record['name']}/{name}"
        if values is None:
            spec = {"dims": list(dims), "fill": key, "offset": offset, "scale": scale}
            t = torch.from_numpy(fill.affine(key, dims, offset, scale)).double()
        else:
            spec = {"dims": list(dims), "values": values}
            t = torch.tensor(values, dtype=torch.float64).reshape(dims)
        self.record["inputs"][name] = spec
        self.tensors[name] = t.requires_grad_(grad)
        return self.tensors[name]

    def seed(self, dims):
        key = f"{self.record['name']}/dy"
        self.record["seed"] = {"dims": list(dims), "fill": key, "offset": 0.0, "scale": 1.0}
        return torch.from_numpy(fill.affine(key, tuple(dims))).double()

    def finish(self, y, **outputs):
        dy = self.seed(y.shape)
        (y * dy).sum().backward()
        self.record["outputs"] = {k: full(v) for k, v in dict(outputs, y=y).items()}
        self.record["grads"] = {k: full(t.grad) for k, t in self.tensors.items() if t.grad is not None}
        return self.record


def full(t):
    return {"dims": list(t.shape), "values": t.detach().flatten()}


def resize(name, mode, dims, h, w):
    c = Case(name, f"resize_{mode}", h=h, w=w)
    x = c.input("x", dims)
    if mode == "bilinear":
        return c.finish(F.interpolate(x, (h, w), mode="bilinear", align_corners=False))
    return c.finish(F.interpolate(x, (h, w), mode="nearest"))


def adaptive(name, kind, dims, h, w):
    c = Case(name, f"adaptive_{kind}_pool", h=h, w=w)
    x = c.input("x", dims)
    return c.finish((F.adaptive_avg_pool2d if kind == "avg" else F.adaptive_max_pool2d)(x, (h, w)))


def avg_pool(name, dims, kernel, stride, pad, include, ceil):
    c = Case(name, "avg_pool", kernel=kernel, stride=stride, pad=pad, count_include_pad=include, ceil_mode=ceil)
    return c.finish(F.avg_pool2d(c.input("x", dims), kernel, stride, pad, ceil, include))


def max_pool(name, dims, kernel, stride, pad, dilation=(1, 1), ceil=False, values=None):
    c = Case(name, "max_pool", kernel=kernel, stride=stride, pad=pad, dilation=list(dilation), ceil_mode=ceil)
    return c.finish(F.max_pool2d(c.input("x", dims, values=values), kernel, stride, pad, dilation, ceil))


def conv(name, dims, out, kernel, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    c = Case(name, "conv2d", stride=list(stride), pad=list(pad), dilation=list(dilation), groups=groups)
    x, w, b = c.input("x", dims), c.input("w", (out, dims[1] // groups, *kernel)), c.input("b", (out,))
    return c.finish(F.conv2d(x, w, b, stride, pad, dilation, groups))


def conv_transpose(name, dims, out, kernel, stride=(1, 1), pad=(0, 0), output_pad=(0, 0), dilation=(1, 1), groups=1):
    c = Case(name, "conv_transpose2d", stride=list(stride), pad=list(pad), output_pad=list(output_pad),
             dilation=list(dilation), groups=groups)
    x, w, b = c.input("x", dims), c.input("w", (dims[1], out // groups, *kernel)), c.input("b", (out,))
    return c.finish(F.conv_transpose2d(x, w, b, stride, pad, output_pad, groups, dilation))


def norm_inputs(c, dims):
    ch = (dims[1],)
    return (c.input("x", dims, 0.5, 2.0), c.input("weight", ch, 1.0, 0.5), c.input("bias", ch, 0.0, 0.5),
            c.input("running_mean", ch, 0.0, 0.5, grad=False), c.input("running_var", ch, 1.0, 0.5, grad=False))


def batch_norm(name, dims, momentum=0.1, eps=1e-5):
    c = Case(name, "batch_norm", momentum=momentum, eps=eps)
    x, weight, bias, mean, var = norm_inputs(c, dims)
    mean, var = mean.clone(), var.clone()
    y = F.batch_norm(x, mean, var, weight, bias, True, momentum, eps)
    return c.finish(y, running_mean=mean, running_var=var)


def batch_norm_eval(name, dims, eps=1e-5):
    c = Case(name, "batch_norm_eval", eps=eps)
    x, weight, bias, mean, var = norm_inputs(c, dims)
    return c.finish(F.batch_norm(x, mean, var, weight, bias, False, 0.1, eps))


def batch_norm_double(name, dims, eps=1e-5):
    c = Case(name, "batch_norm_double", eps=eps)
    x, weight = c.input("x", dims, 0.5, 2.0), c.input("weight", (dims[1],), 1.0, 0.5)
    y = F.batch_norm(x, None, None, weight, torch.zeros_like(weight), True, 0.1, eps)
    dy = c.seed(y.shape).requires_grad_()
    g, = torch.autograd.grad((y * dy).sum(), x, create_graph=True)
    second = torch.autograd.grad((g * g).sum(), (x, weight, dy))
    c.record.update(outputs={"y": full(y), "g": full(g)},
                    grads2={k: full(t) for k, t in zip(("x", "weight", "dy"), second)})
    return c.record


def log_softmax(name, dims, axis, scale=2.0):
    c = Case(name, "log_softmax", axis=axis)
    return c.finish(F.log_softmax(c.input("x", dims, scale=scale), axis))


def smooth_l1(name, dims, beta):
    c = Case(name, "smooth_l1", beta=beta)
    return c.finish(F.smooth_l1_loss(c.input("x", dims), c.input("t", dims, grad=False), beta=beta))


def kl_div(name, dims):
    c = Case(name, "kl_div", reduction="batchmean")
    x, t = c.input("x", dims), c.input("t", dims, grad=False)
    return c.finish(F.kl_div(F.log_softmax(x, 1), F.softmax(t, 1), reduction="batchmean"))


def cross_entropy(name, dims, smoothing):
    c = Case(name, "cross_entropy", label_smoothing=smoothing)
    labels = fill.labels(f"{name}/labels", dims[0], dims[1])
    c.record["labels"] = labels
    return c.finish(F.cross_entropy(c.input("x", dims), torch.from_numpy(labels), label_smoothing=smoothing))


def channel_shuffle(name, dims, groups):
    c = Case(name, "channel_shuffle", groups=groups)
    x = c.input("x", dims)
    n, ch, h, w = dims
    y = x.reshape(n, groups, ch // groups, h, w).transpose(1, 2).reshape(dims)
    assert torch.equal(y, F.channel_shuffle(x.detach(), groups))
    return c.finish(y)


def top_k(name, dims, k):
    c = Case(name, "top_k", k=k)
    y, index = c.input("x", dims).topk(k, -1)
    return c.finish(y, index=index)


def kth_smallest(name, dims, k):
    c = Case(name, "kth_smallest", k=k)
    y, index = c.input("x", dims).kthvalue(k + 1, -1, keepdim=True)
    return c.finish(y, index=index)


def main():
    torch.set_num_threads(1)
    ties = [1, 1, 0, 2, 2, 1, 1, 3, 2, 3, 0, 0, 3, 3, 1, -1, -1, -1, 2, 2, 0, 0, 1, 1, 2]
    cases = [
        resize("bilinear_up", "bilinear", (1, 2, 3, 4), 6, 8),
        resize("bilinear_up_uneven", "bilinear", (1, 1, 3, 2), 7, 5),
        resize("bilinear_down", "bilinear", (1, 1, 7, 8), 3, 4),
        resize("bilinear_mixed", "bilinear", (2, 1, 2, 6), 5, 4),
        resize("bilinear_from_one", "bilinear", (1, 2, 1, 1), 3, 3),
        resize("nearest_up", "nearest", (1, 2, 2, 3), 4, 6),
        resize("nearest_uneven", "nearest", (1, 1, 3, 5), 7, 2),
        adaptive("adaptive_avg_7_3", "avg", (1, 2, 7, 7), 3, 3),
        adaptive("adaptive_avg_5_2", "avg", (2, 1, 5, 7), 2, 3),
        adaptive("adaptive_avg_up", "avg", (1, 1, 2, 3), 3, 4),
        adaptive("adaptive_avg_global", "avg", (2, 2, 4, 3), 1, 1),
        adaptive("adaptive_max_7_3", "max", (1, 2, 7, 7), 3, 3),
        adaptive("adaptive_max_5_2", "max", (1, 1, 5, 5), 2, 2),
        avg_pool("avg_pool_pad_included", (1, 2, 5, 5), [3, 3], [2, 2], [1, 1], True, False),
        avg_pool("avg_pool_pad_excluded", (1, 2, 5, 5), [3, 3], [2, 2], [1, 1], False, False),
        avg_pool("avg_pool_ceil_included", (1, 1, 6, 6), [3, 3], [2, 2], [1, 1], True, True),
        avg_pool("avg_pool_ceil_excluded", (1, 1, 6, 6), [3, 3], [2, 2], [1, 1], False, True),
        avg_pool("avg_pool_ceil_drops_window", (1, 1, 4, 5), [2, 2], [3, 2], [1, 0], True, True),
        max_pool("max_pool_pad", (1, 2, 5, 6), [3, 3], [2, 2], [1, 1]),
        max_pool("max_pool_ceil", (1, 1, 6, 7), [3, 2], [2, 2], [1, 0], ceil=True),
        max_pool("max_pool_ties", (1, 1, 5, 5), [3, 3], [1, 1], [1, 1], values=ties),
        max_pool("max_pool_negative_border", (1, 1, 3, 3), [3, 3], [2, 2], [1, 1], values=[-1, -2, -3, -4, -5, -6, -7, -8, -9]),
        max_pool("max_pool_dilated", (1, 1, 7, 6), [2, 2], [1, 2], [0, 0], dilation=(2, 3)),
        conv("conv_uneven", (2, 2, 5, 6), 3, (3, 2), (2, 1), (1, 0)),
        conv("conv_groups", (1, 4, 5, 5), 6, (3, 3), (1, 1), (1, 1), groups=2),
        conv("conv_depthwise_multiplier", (1, 3, 5, 5), 6, (3, 3), (2, 2), (1, 1), groups=3),
        conv("conv_dilated", (1, 2, 7, 8), 2, (3, 3), (1, 2), (2, 1), (2, 3)),
        conv("conv_stride_leaves_rest", (1, 1, 8, 8), 1, (3, 3), (2, 3), (0, 1)),
        conv_transpose("conv_transpose_4_2_1", (1, 3, 3, 3), 2, (4, 4), (2, 2), (1, 1)),
        conv_transpose("conv_transpose_output_pad", (1, 2, 3, 4), 3, (3, 3), (2, 2), (1, 1), (1, 1)),
        conv_transpose("conv_transpose_uneven", (1, 2, 3, 2), 1, (2, 3), (1, 3), (0, 1), (0, 2)),
        conv_transpose("conv_transpose_groups", (1, 4, 3, 3), 6, (3, 3), (2, 2), (1, 1), (0, 1), groups=2),
        conv_transpose("conv_transpose_dilated", (1, 2, 3, 3), 2, (3, 2), (2, 1), (1, 0), (1, 0), (2, 2)),
        batch_norm("batch_norm_4d", (3, 2, 2, 3)),
        batch_norm("batch_norm_2d", (4, 3), momentum=0.9, eps=1e-3),
        batch_norm_eval("batch_norm_eval", (2, 3, 2, 2)),
        batch_norm_double("batch_norm_double", (3, 2, 2, 2)),
        log_softmax("log_softmax", (3, 5), 1),
        log_softmax("log_softmax_large", (2, 4), 1, scale=1000.0),
        log_softmax("log_softmax_channels", (2, 3, 2, 2), 1),
        smooth_l1("smooth_l1", (3, 8), 1.0),
        smooth_l1("smooth_l1_half", (3, 8), 0.5),
        kl_div("kl_div", (4, 6)),
        cross_entropy("cross_entropy", (5, 7), 0.0),
        cross_entropy("cross_entropy_smooth", (5, 7), 0.1),
        channel_shuffle("channel_shuffle_2", (1, 6, 2, 1), 2),
        channel_shuffle("channel_shuffle_3", (2, 12, 1, 2), 3),
        top_k("top_k", (3, 9), 4),
        kth_smallest("kth_smallest", (3, 9), 2),
        kth_smallest("kth_smallest_first", (2, 5), 0),
    ]
    assert len({c["name"] for c in cases}) == len(cases)
    golden_io.write("ops.json", {"cases": cases})


if __name__ == "__main__":
    main()
