#!/usr/bin/env python3
"""PyTorch's time and memory for one distillation step, the peer of distil's own benchmark.

    /usr/bin/python3 bench/torch_step.py --teacher wrn_40_2 --student wrn_16_2 --batch 64 --threads 2 --channels-last
    python3 bench/torch_step.py --device cuda:0 --channels-last --dtype bf16 --compile

A step is what a RepDistiller-style loop does, on data that is already in memory: teacher forward (evaluation mode,
no_grad), student forward and backward of 0.1 CE + 0.9 T^2 KL (T = 4), SGD with momentum and weight decay. --teacher none
times plain cross-entropy training; bf16 is autocast with float32 weights. Networks: tests/golden/nets.py
without taps, ReLU in place. On a GPU data, networks and optimiser are there, cuDNN may choose its fastest algorithms,
f32 keeps TF32 off and tf32 turns it on, and --compile is torch.compile(mode="max-autotune") of networks and loss, which
replays CUDA graphs; PyTorch 2 and 1.13 alike, the latter without --compile.
Prints one line of JSON: options, parameter counts, median_s, min_s, mean_s (seconds a step), wall_s and cpu_s (of every
timed step: by the clock, and of all threads of this process), peak_rss_mb (VmHWM of the whole process), rss_after_build_mb
(before the first step), first and last loss, torch version, load average before and after. On a GPU also free_s,
seconds a step when nothing waits for the loss (two events around all steps), and peak_gpu_mb, and the versions.
A failure is one line too, with the field "error".
"""

import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))


def memory(field):
    """A field of /proc/self/status in MB."""
    with open("/proc/self/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(field + ":"):
                return round(int(line.split()[1]) / 1024, 1)
    raise KeyError(field)


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", default="wrn_40_2", help="network, or none")
    p.add_argument("--student", default="wrn_16_2")
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--dtype", choices=("f32", "tf32", "bf16"), default="f32")
    p.add_argument("--device", default="cpu", help="cpu, cuda:0, ...")
    p.add_argument("--compile", action="store_true", help="torch.compile networks and loss, mode max-autotune")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--steps", type=int, default=20, help="timed steps")
    p.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    return p.parse_args()


def main():
    args = parse()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    from torch.nn import functional as F

    import nets

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    gpu = device.type == "cuda"
    if gpu and not torch.cuda.is_available():
        return {"error": f"torch {torch.__version__} sees no GPU"}
    if args.dtype == "tf32" and not gpu:
        return {"error": "tf32 is a format of GPUs"}
    if args.compile and not hasattr(torch, "compile"):
        return {"error": f"torch {torch.__version__} has no torch.compile"}
    if gpu:
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.dtype == "tf32"
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    student = nets.build(args.student, args.classes).to(device).to(memory_format=layout).train()
    teacher = None
    if args.teacher != "none":
        teacher = nets.build(args.teacher, args.classes).to(device).to(memory_format=layout).eval()
        for p in teacher.parameters():
            p.requires_grad_(False)
    batches = [(torch.randn(args.batch, 3, 32, 32).to(device).contiguous(memory_format=layout),
                torch.randint(args.classes, (args.batch,)).to(device)) for _ in range(4)]
    tau = 4.0
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    try:  # one kernel for the whole update, where this version has it
        optimizer = torch.optim.SGD(student.parameters(), fused=True, **settings) if gpu else None
    except (TypeError, RuntimeError):
        optimizer = None
    optimizer = optimizer or torch.optim.SGD(student.parameters(), **settings)

    def loss_of(x, y):
        with torch.autocast(device.type, torch.bfloat16, enabled=args.dtype == "bf16"):
            if teacher is not None:
                with torch.no_grad():
                    zt = teacher(x, taps=False)["logits"].float()
            zs = student(x, taps=False)["logits"].float()
        loss = F.cross_entropy(zs, y)
        if teacher is not None:
            loss = 0.1 * loss + 0.9 * tau**2 * F.kl_div(F.log_softmax(zs / tau, 1), F.softmax(zt / tau, 1),
                                                       reduction="batchmean")
        return loss

    forward = torch.compile(loss_of, mode="max-autotune") if args.compile else loss_of

    def step(x, y):
        if args.compile and hasattr(torch.compiler, "cudagraph_mark_step_begin"):
            torch.compiler.cudagraph_mark_step_begin()
        loss = forward(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    built, load_before = memory("VmRSS"), os.getloadavg()[0]
    times, cpu, losses = [], [], []
    for k in range(args.warmup + args.steps):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        losses.append(step(*batches[k % len(batches)]).item())  # waits for a GPU
        if k >= args.warmup:
            times.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - cpu_begin)
    result = {k: v for k, v in vars(args).items()}
    result.update(
        torch=torch.__version__, mkldnn=torch.backends.mkldnn.is_available(),
        student_params=nets.count_params(student), teacher_params=nets.count_params(teacher) if teacher else 0,
        median_s=round(statistics.median(times), 7), min_s=round(min(times), 7), mean_s=round(statistics.mean(times), 7),
        wall_s=[round(t, 7) for t in times], cpu_s=[round(t, 7) for t in cpu], rss_after_build_mb=built,
        peak_rss_mb=memory("VmHWM"), first_loss=round(losses[0], 4), last_loss=round(losses[-1], 4),
        load_before=round(load_before, 2), load_after=round(os.getloadavg()[0], 2))
    if gpu:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for k in range(args.steps):
            step(*batches[k % len(batches)])
        end.record()
        torch.cuda.synchronize()
        result.update(
            free_s=round(begin.elapsed_time(end) / 1e3 / args.steps, 7), gpu=torch.cuda.get_device_name(device),
            peak_gpu_mb=round(torch.cuda.max_memory_reserved(device) / 2**20, 1), cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version())
    return result


if __name__ == "__main__":
    try:
        report = main()
    except Exception as error:  # the caller reads one line of JSON, whatever happened
        report = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(report, sort_keys=True))
