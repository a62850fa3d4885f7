"""Writes golden JSON files in one stable form: sorted keys, 10 significant digits, one line per innermost record."""

import json
import os

import numpy as np

DIGITS = 10


def rounded(x, digits=DIGITS):
    """Plain JSON values; every float to `digits` significant digits."""
    if isinstance(x, dict):
        return {k: rounded(v, digits) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [rounded(v, digits) for v in x]
    if hasattr(x, "detach"):
        x = x.detach().numpy()
    if isinstance(x, np.ndarray):
        return rounded(x.tolist(), digits)
    if isinstance(x, (bool, np.bool_)):
        return bool(x)
    if isinstance(x, (float, np.floating)):
        y = float(f"{float(x):.{digits}g}")
        assert np.isfinite(y), "a golden value is not finite"
        return int(y) if y == int(y) and abs(y) < 1e9 else y
    if isinstance(x, np.integer):
        return int(x)
    return x


def _nested(x):
    return any(isinstance(v, dict) or (isinstance(v, list) and v and isinstance(v[0], dict)) for v in x.values())


def _text(x, depth, indent):
    pad = " " * (indent + 1)
    if depth > 0 and isinstance(x, dict) and _nested(x):
        rows = [f"{pad}{json.dumps(k)}: {_text(x[k], depth - 1, indent + 1)}" for k in sorted(x)]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if depth > 0 and isinstance(x, list) and x and isinstance(x[0], dict):
        return "[\n" + ",\n".join(pad + _text(v, depth - 1, indent + 1) for v in x) + "\n" + " " * indent + "]"
    return json.dumps(x, sort_keys=True, separators=(",", ":"))


def write(name, obj, depth=6, digits=DIGITS):
    """Writes `obj` to the file `name` next to the scripts; records without records inside stay on one line."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    text = _text(rounded(obj, digits), depth, 0) + "\n"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    print(f"{path}: {len(text)} bytes")
