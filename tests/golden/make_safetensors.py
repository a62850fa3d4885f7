"""A PyTorch network in safetensors form, and hostile safetensors files.
    /usr/bin/python3 tests/golden/make_safetensors.py

Writes, next to this script,
  resnet8_torch.safetensors   state_dict of a resnet8 with 10 classes, laid out as safetensors.torch.save_file does it:
                              {"__metadata__": {"format": "pt"}}, I64 tensors (num_batches_tracked, shape []) before F32
                              ones, names ascending within a type, header padded with spaces to a multiple of 8 bytes
  safetensors.json
    {"file", "net": "resnet8", "classes": 10, "input": {"dims", "fill", "offset", "scale"},
     "logits": [2 rows of 10], evaluation mode, float64 arithmetic on the float32 weights,
     "tensors": {NAME: {"dtype", "dims", "first", "sum"}},    first entry and float64 sum of all entries
     "corpus": folder, "valid": [FILE, ...], "refused": {FILE: why, ...}}
and the files of `corpus`, tests/fuzz/corpus/safetensors/: each below 1 KB, seeds of the fuzzer; `refused` ones must be
refused with a message.
Format: u64 little-endian header length; header, a JSON object name -> {dtype, shape, data_offsets: [begin, end)}; data.
Offsets count from the end of the header, cover the data without overlap or hole, and end - begin is the tensor's size.
"""

import json
import os
import struct

import numpy as np
import torch

import fill
import golden_io
import nets

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join("tests", "fuzz", "corpus", "safetensors")
TYPES = {torch.float32: "F32", torch.int64: "I64"}


def container(header, data=b"", length=None):
    """A file from a header (text, bytes or object), its data, and optionally a wrong header length."""
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def save_file(tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(tensors, key=lambda n: (tensors[n].dtype != torch.int64, n)):
        t = tensors[name]
        raw = t.contiguous().numpy().tobytes()
        header[name] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":"))
    return container(text + " " * (-len(text) % 8), data)


def trained_looking(classes):
    """A resnet8 as training leaves it: PyTorch's own initial values, then noise; nothing that depends on a kernel."""
    torch.manual_seed(7)
    net = nets.build("resnet8", classes)
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                t.fill_(187440)
            elif name.endswith("running_mean"):
                t.copy_(0.2 * torch.randn(t.shape))
            elif name.endswith("running_var"):
                t.copy_(0.5 + torch.rand(t.shape))
            elif t.dim() == 1:
                t.add_(0.2 * torch.randn(t.shape))
    return net


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = struct.pack("<2f", 1.0, -2.5)
SIXTEEN = EIGHT + EIGHT


def valid_files():
    return {
        "valid_tiny": container({"a": tensor(), "b": tensor("F32", (1, 2), (8, 16))}, SIXTEEN),
        "valid_no_tensor": container("{}"),
        "valid_metadata": container({"__metadata__": {"format": "pt", "note": "a \u00e9"}, "a": tensor()}, EIGHT),
        "valid_padded": container(json.dumps({"a": tensor()}) + "   ", EIGHT),
        "valid_scalar_i64": container({"n": tensor("I64", (), (0, 8))}, struct.pack("<q", 3)),
        "valid_no_elements": container({"a": tensor("F32", (0, 3), (0, 0)), "b": tensor()}, EIGHT),
        "valid_half": container({"a": tensor("F16", (2,), (0, 4)), "b": tensor("BF16", (2,), (4, 8))}, EIGHT),
        "valid_order": container({"a": tensor("F32", (2,), (8, 16)), "b": tensor()}, SIXTEEN),
        "valid_escapes": container('{"l\\u0061yer\\/1\\u00e9":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT),
    }


def refused_files():
    one = json.dumps({"a": tensor()}, separators=(",", ":"))
    named = lambda body: container('{"a":{' + body + "}}", EIGHT)
    return {
        "empty": (b"", "no bytes"),
        "short_length": (b"\x10\x00\x00", "ends inside the header length"),
        "header_past_end": (container(one, EIGHT, length=4096), "header longer than the file"),
        "header_huge": (container(one, EIGHT, length=2**64 - 1), "header length overflows"),
        "header_100mb": (container(one, EIGHT, length=100_000_001), "header longer than the file"),
        "header_zero": (container("", EIGHT), "empty header"),
        "header_short": (container(one, EIGHT, length=len(one) - 3), "header is cut"),
        "not_json": (container("hello world", EIGHT), "header is not JSON"),
        "not_object": (container("[1,2,3]"), "header is not an object"),
        "json_tail": (container(one + "}", EIGHT), "text after the header's object"),
        "json_deep": (container('{"a":' + "[" * 900, b""), "nested too deep"),
        "entry_not_object": (container('{"a":5}', EIGHT), "entry is not an object"),
        "overlap": (container({"a": tensor(), "b": tensor("F32", (2,), (4, 12))}, EIGHT + EIGHT[:4]), "overlapping data"),
        "same_bytes_twice": (container({"a": tensor(), "b": tensor()}, EIGHT), "overlapping data"),
        "hole": (container({"a": tensor(), "b": tensor("F32", (1,), (12, 16))}, SIXTEEN), "hole in the data"),
        "trailing_bytes": (container(one, SIXTEEN), "data after the last tensor"),
        "truncated": (container(one, EIGHT[:5]), "data cut short"),
        "duplicate_key": (container(one[:-1] + ',"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}', SIXTEEN),
                          "same name twice"),
        "wrong_dtype": (container({"a": tensor("F99")}, EIGHT), "unknown type"),
        "dtype_number": (named('"dtype":32,"shape":[2],"data_offsets":[0,8]'), "type is not text"),
        "no_dtype": (named('"shape":[2],"data_offsets":[0,8]'), "no type"),
        "no_shape": (named('"dtype":"F32","data_offsets":[0,8]'), "no shape"),
        "no_offsets": (named('"dtype":"F32","shape":[2]'), "no offsets"),
        "non_utf8": (container(b'{"\xff\xfe":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT), "name is not UTF-8"),
        "lone_surrogate": (container('{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT),
                           "name is not UTF-8"),
        "negative_shape": (container({"a": tensor("F32", (-1, -2))}, EIGHT), "negative extent"),
        "fraction_shape": (named('"dtype":"F32","shape":[2.5],"data_offsets":[0,8]'), "extent is not an integer"),
        "shape_overflow": (container({"a": tensor("F32", (2**32, 2**32, 2))}, EIGHT), "size overflows"),
        "shape_wraps_to_8": (container({"a": tensor("F32", (2**62 + 2,))}, EIGHT), "4 (2^62 + 2) wraps to 8 in 64 bits"),
        "shape_too_large_number": (named('"dtype":"F32","shape":[1e400],"data_offsets":[0,8]'), "not an integer"),
        "shape_size": (container({"a": tensor("F32", (3,))}, EIGHT), "size differs from the offsets"),
        "offsets_reversed": (container({"a": tensor("F32", (2,), (8, 0))}, EIGHT), "begins after its end"),
        "offsets_past_end": (container({"a": tensor("F32", (4,), (0, 16))}, EIGHT), "beyond the file"),
        "offsets_huge": (container({"a": tensor("F32", (2,), (2**64 - 8, 2**64))}, EIGHT), "beyond the file"),
        "offsets_negative": (container({"a": tensor("F32", (2,), (-8, 0))}, EIGHT), "negative offset"),
        "offsets_three": (container({"a": tensor("F32", (2,), (0, 4, 8))}, EIGHT), "not two offsets"),
        "metadata_list": (container('{"__metadata__":[1],"a":' + one[5:], EIGHT), "metadata is not an object"),
    }


def main():
    torch.set_num_threads(1)
    net = trained_looking(10)
    state = net.state_dict()
    path = os.path.join(HERE, "resnet8_torch.safetensors")
    with open(path, "wb") as f:
        f.write(save_file(state))
    print(f"{path}: {os.path.getsize(path)} bytes")
    spec = {"dims": [2, 3, 32, 32], "fill": "safetensors/input", "offset": 0.0, "scale": 2.0}
    x = torch.from_numpy(fill.affine(spec["fill"], spec["dims"], spec["offset"], spec["scale"]))
    net.double().eval()
    with torch.no_grad():
        logits = net(x.double())["logits"]

    folder = os.path.join(HERE, "..", "..", CORPUS)
    os.makedirs(folder, exist_ok=True)
    valid, refused = valid_files(), refused_files()
    for name, content in [*valid.items(), *((n, c) for n, (c, _) in refused.items())]:
        assert len(content) < 1024, name
        with open(os.path.join(folder, name + ".safetensors"), "wb") as f:
            f.write(content)
    golden_io.write("safetensors.json", {
        "file": "resnet8_torch.safetensors", "net": "resnet8", "classes": 10, "input": spec, "logits": logits,
        "tensors": {n: {"dtype": TYPES[t.dtype], "dims": list(t.shape), "first": t.flatten()[0].item(),
                        "sum": t.double().sum().item()} for n, t in state.items()},
        "corpus": CORPUS, "valid": sorted(n + ".safetensors" for n in valid),
        "refused": {n + ".safetensors": why for n, (_, why) in refused.items()}})


if __name__ == "__main__":
    main()
