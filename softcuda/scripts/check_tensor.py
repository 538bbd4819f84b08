"""Compares softcuda's tensor cores bit for bit with mmasim, a model by others that was measured against the hardware.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 mmasim==2.1.1 numpy ninja
    cargo build --release -p softcuda --example mma
    venv/bin/python softcuda/scripts/check_tensor.py [TILES] [SEED]

Draws TILES tiles (1500 by default) of each kind, architecture and style of numbers, and counts the outputs that agree. Ends with
status 1 at the first kind that has others. mmasim compiles a helper at its first import: it needs ninja and a C++ compiler.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

# Before torch looks for ninja, which pip puts beside the interpreter.
os.environ["PATH"] = str(pathlib.Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]

import numpy as np
import torch
from mmasim.nv_ptx.sim import MMA

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "release" / "examples" / "mma"

# In the order of Kind::ALL.
KINDS = [
    "m16n8k8.f32.bf16.bf16.f32",
    "m16n8k16.f32.bf16.bf16.f32",
    "m16n8k8.f32.f16.f16.f32",
    "m16n8k16.f32.f16.f16.f32",
    "m16n8k8.f16.f16.f16.f16",
    "m16n8k16.f16.f16.f16.f16",
    "m16n8k4.f32.tf32.tf32.f32",
    "m16n8k8.f32.tf32.tf32.f32",
]
# Exponent bits, fraction bits, bits.
FORMATS = {"bf16": (8, 7, 16), "f16": (5, 10, 16), "tf32": (8, 23, 32), "f32": (8, 23, 32)}
STYLES = ["bell", "wide", "bits", "denormal", "extreme", "special", "alike", "sparse"]


def draw(random, style, format, shape):
    """Numbers of a format as bits, in uint32."""
    exponents, fractions, bits = FORMATS[format]
    bias = 2 ** (exponents - 1) - 1
    fraction = random.integers(0, 2**fractions, shape, dtype=np.uint32)
    sign = random.integers(0, 2, shape, dtype=np.uint32) << (bits - 1)
    if style == "bell":
        values = random.standard_normal(shape).astype(np.float32)
        if format == "f16":
            return values.astype(np.float16).view(np.uint16).astype(np.uint32)
        words = values.view(np.uint32)
        return words >> 16 if format == "bf16" else words
    if style == "bits":
        return random.integers(0, 2**bits, shape, dtype=np.uint32)
    if style == "wide":
        raw = random.integers(bias - bias * 2 // 5, bias + bias * 2 // 5, shape)
    elif style == "denormal":
        raw = np.where(random.random(shape) < 0.6, 0, random.integers(0, bias // 2, shape))
    elif style == "extreme":
        raw = np.where(random.random(shape) < 0.5, random.integers(2 * bias - 2, 2 * bias + 1, shape), random.integers(0, 3, shape))
    elif style == "special":
        raw = random.choice([bias, bias - 1, bias + 1, 0, 2 * bias + 1], shape, p=[0.3, 0.3, 0.29, 0.1, 0.01])
        fraction = np.where(random.random(shape) < 0.4, 0, fraction).astype(np.uint32)
    elif style == "alike":
        raw = np.full(shape, bias)
        fraction = (2**fractions - 1 - random.integers(0, 3, shape)).astype(np.uint32)
        sign = sign * 0
    elif style == "sparse":
        raw = random.integers(max(bias - 20, 1), bias + 2, shape)
        zero = random.random(shape) < 0.7
        raw, fraction = np.where(zero, 0, raw), np.where(zero, 0, fraction).astype(np.uint32)
    return sign | (raw.astype(np.uint32) << fractions) | fraction


def places(format, k):
    """By register, lane and half: rows and columns of A and of B, as the tables of the PTX ISA have them."""
    lane = np.arange(32)
    group, thread = lane // 4, lane % 4
    packed = 1 if format == "tf32" else 2
    depth = k // (4 * packed)
    a, b = [], []
    for word in range(depth):
        for upper in range(2):
            a.append([(group + 8 * upper, 4 * packed * word + packed * thread + half) for half in range(packed)])
        b.append([(4 * packed * word + packed * thread + half, group) for half in range(packed)])
    return a, b


def pack(matrices, table):
    """Registers of a fragment: tile, register, lane."""
    rows = [sum(matrices[:, row, column] << np.uint32(16 * half) for half, (row, column) in enumerate(halves)) for halves in table]
    return np.stack(rows, 1)


def sums(format):
    """Rows and columns of C and D by register and half."""
    lane = np.arange(32)
    group, thread = lane // 4, lane % 4
    if format == "f16":
        return [[(group + 8 * upper, 2 * thread + odd) for odd in range(2)] for upper in range(2)]
    return [[(group + 8 * upper, 2 * thread + odd)] for upper in range(2) for odd in range(2)]


def tensor(bits, format):
    if format in ("f32", "tf32"):
        return torch.from_numpy(bits.astype(np.uint32).view(np.float32).copy())
    halves = torch.from_numpy(bits.astype(np.uint16).view(np.int16).copy())
    return halves.view(torch.bfloat16 if format == "bf16" else torch.float16)


def bits_of(values):
    if values.dtype == torch.float16:
        return values.view(torch.int16).numpy().view(np.uint16).astype(np.uint32)
    return values.view(torch.int32).numpy().view(np.uint32)


def main():
    tiles = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    torch.set_num_threads(1)
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder) / "in", pathlib.Path(folder) / "out"
        for index, name in enumerate(KINDS):
            shape, d_format, a_format, _, c_format = name.split(".")
            k = int(shape[shape.index("k") + 1 :])
            a_table, b_table = places(a_format, k)
            c_table = sums(c_format)
            for arch in ("Ampere", "Hopper"):
                model = MMA(arch, name)
                wrong, count = 0, 0
                for style in STYLES:
                    a = draw(random, style, a_format, (tiles, 16, k))
                    b = draw(random, style, a_format, (tiles, k, 8))
                    # A third of the tiles has no C, another a C of its own style.
                    c = draw(random, style, c_format, (tiles, 16, 8))
                    c[: tiles // 3] = 0
                    other = slice(tiles // 3, 2 * tiles // 3)
                    c[other] = draw(random, random.choice(STYLES), c_format, c[other].shape)

                    np.concatenate([pack(a, a_table), pack(b, b_table), pack(c, c_table)], 1).astype("<u4").tofile(source)
                    subprocess.run([PROGRAM, "run", arch.lower(), str(index), source, target], check=True)
                    registers = np.fromfile(target, "<u4").reshape(tiles, len(c_table), 32)
                    ours = np.zeros((tiles, 16, 8), np.uint32)
                    for register, halves in enumerate(c_table):
                        for half, (row, column) in enumerate(halves):
                            value = registers[:, register]
                            ours[:, row, column] = value >> np.uint32(16 * half) & 0xFFFF if c_format == "f16" else value

                    # mmasim's own call takes one tile; its sum of products takes any number of pairs of vectors.
                    left = tensor(a, a_format)[:, :, None, :].expand(-1, -1, 8, -1)
                    right = tensor(b, a_format).transpose(1, 2)[:, None, :, :].expand(-1, 16, -1, -1)
                    theirs = bits_of(model.dpa(left, right, tensor(c, c_format)))
                    different = np.argwhere(ours != theirs)
                    wrong, count = wrong + len(different), count + ours.size
                    for tile, row, column in different[:3]:
                        print(
                            f"{arch} {name} {style}: {ours[tile, row, column]:#010x}, mmasim {theirs[tile, row, column]:#010x};"
                            f" A {[hex(x) for x in a[tile, row]]} B {[hex(x) for x in b[tile, :, column]]} C {c[tile, row, column]:#x}"
                        )
                print(f"{arch:6} {name:28} {count - wrong} of {count} outputs equal", flush=True)
                if wrong:
                    sys.exit(1)
                total += count
    print(f"{total} outputs, all equal to the bit")


if __name__ == "__main__":
    main()
