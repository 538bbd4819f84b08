"""Compiles kernels with Triton and stores their PTX under softcuda/tests/foreign: code of a compiler that is not nvcc, proven on
hardware by its users. Needs no GPU.

    python3 softcuda/scripts/make_triton_ptx.py

Without Triton it installs it, with pip, in an environment under target/ (some gigabytes: Triton needs torch).

triton.json says how to launch each: file, entry, target, threads, shared bytes, and the arguments in order. Triton adds two of its
own at the end, pointers to scratch memory that these kernels do not use. Line tables are dropped: they name this machine's files.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

try:
    import triton
except ImportError:
    ENVIRONMENT = pathlib.Path(__file__).resolve().parents[2] / "target" / "triton"
    PYTHON = ENVIRONMENT / "bin" / "python"
    if pathlib.Path(sys.prefix) == ENVIRONMENT:
        raise
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", "torch==2.15.0", "triton==3.9.0"], check=True)
    os.execv(PYTHON, [PYTHON, __file__, *sys.argv[1:]])

import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tests" / "foreign"


@triton.jit
def add(x, y, z, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    tl.store(z + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)


@triton.jit
def softmax(x, y, columns, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    v = tl.load(x + row * stride + at, mask=inside, other=-float("inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(y + row * stride + at, e / tl.sum(e, 0), mask=inside)


@triton.jit
def layernorm(x, y, gain, bias, mean, scale, columns, epsilon, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(x + row * columns + at, mask=at < columns, other=0.0).to(tl.float32)
    m = tl.sum(total, 0) / columns
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        v = tl.load(x + row * columns + at, mask=at < columns, other=0.0).to(tl.float32)
        v = tl.where(at < columns, v - m, 0.0)
        total += v * v
    r = 1 / tl.sqrt(tl.sum(total, 0) / columns + epsilon)
    tl.store(mean + row, m)
    tl.store(scale + row, r)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < columns
        v = tl.load(x + row * columns + at, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(gain + at, mask=inside)
        b = tl.load(bias + at, mask=inside)
        tl.store(y + row * columns + at, (v - m) * r * g + b, mask=inside)


@triton.jit
def matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GELU: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    total = tl.zeros([BM, BN], tl.float32)
    for start in range(0, k, BK):
        inner = start + tl.arange(0, BK)
        left = tl.load(a + rows[:, None] * k + inner[None, :], mask=(rows[:, None] < m) & (inner[None, :] < k), other=0.0)
        right = tl.load(b + inner[:, None] * n + columns[None, :], mask=(inner[:, None] < k) & (columns[None, :] < n), other=0.0)
        total = tl.dot(left, right, total)
    if GELU:
        total = 0.5 * total * (1 + tl.erf(total * 0.7071067811865476))
    inside = (rows[:, None] < m) & (columns[None, :] < n)
    tl.store(c + rows[:, None] * n + columns[None, :], total.to(c.dtype.element_ty), mask=inside)


@triton.jit
def attention(q, k, v, o, lse, n, scale, CAUSAL: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    head = tl.program_id(1) * n * D
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    d = tl.arange(0, D)
    queries = tl.load(q + head + rows[:, None] * D + d[None, :], mask=rows[:, None] < n, other=0.0)
    top = tl.full([BM], -float("inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    out = tl.zeros([BM, D], tl.float32)
    end = tl.minimum(n, (tl.program_id(0) + 1) * BM) if CAUSAL else n
    for start in range(0, end, BN):
        columns = start + tl.arange(0, BN)
        keys = tl.load(k + head + columns[None, :] * D + d[:, None], mask=columns[None, :] < n, other=0.0)
        s = tl.dot(queries, keys) * (scale * 1.44269504)
        s = tl.where(columns[None, :] < n, s, -float("inf"))
        if CAUSAL:
            s = tl.where(columns[None, :] <= rows[:, None], s, -float("inf"))
        high = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - high[:, None])
        shrink = tl.exp2(top - high)
        total = total * shrink + tl.sum(p, 1)
        values = tl.load(v + head + columns[:, None] * D + d[None, :], mask=columns[:, None] < n, other=0.0)
        out = tl.dot(p.to(v.dtype.element_ty), values, out * shrink[:, None])
        top = high
    tl.store(o + head + rows[:, None] * D + d[None, :], out / total[:, None], mask=rows[:, None] < n)
    tl.store(lse + tl.program_id(1) * n + rows, top * 0.69314718 + tl.log(total), mask=rows < n)


@triton.jit
def dropout(x, y, n, p, seed, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    v = tl.load(x + at, mask=inside)
    keep = tl.rand(seed, at) > p
    tl.store(y + at, tl.where(keep, v / (1 - p), 0.0), mask=inside)


@triton.jit
def histogram(x, counts, largest, total, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    v = tl.load(x + at, mask=inside, other=0)
    tl.atomic_add(counts + v, 1, mask=inside)
    tl.atomic_max(largest, tl.max(v, 0))
    tl.atomic_add(total, tl.sum(v.to(tl.float32), 0))


@triton.jit
def scan(x, y, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    v = tl.load(x + at, mask=at < n, other=0)
    tl.store(y + at, tl.cumsum(v, 0), mask=at < n)
    # And sorted in place.
    tl.debug_barrier()
    tl.store(x + at, tl.sort(tl.where(at < n, v, 2147483647)), mask=at < n)


F, B, H, I = "*fp32", "*bf16", "*fp16", "*i32"
BM = dict(BM=64, BN=64, BK=32)
# Lengths that Triton may take to be multiples of 16, as it finds out by itself at run time: only then it copies asynchronously.
# All pointers are, as those of allocations.
DIVISIBLE = {"matmul_f16": "nk", "matmul_tf32": "nk"}
# name, function, arguments in order, constants, warps, stages, targets
KERNELS = [
    ("add", add, dict(x=F, y=F, z=F, n="i32"), dict(BLOCK=256), 4, 1, (80, 90)),
    ("softmax", softmax, dict(x=F, y=F, columns="i32", stride="i32"), dict(BLOCK=1024), 8, 1, (80, 90)),
    (
        "layernorm",
        layernorm,
        dict(x=B, y=B, gain=F, bias=F, mean=F, scale=F, columns="i32", epsilon="fp32"),
        dict(BLOCK=256),
        4,
        1,
        (80, 90),
    ),
    ("matmul_bf16", matmul, dict(a=B, b=B, c=B, m="i32", n="i32", k="i32"), BM | dict(GELU=True), 4, 3, (80,)),
    ("matmul_f16", matmul, dict(a=H, b=H, c=F, m="i32", n="i32", k="i32"), BM | dict(GELU=False), 4, 3, (80,)),
    ("matmul_tf32", matmul, dict(a=F, b=F, c=F, m="i32", n="i32", k="i32"), dict(BM=32, BN=32, BK=32, GELU=False), 2, 2, (80,)),
    (
        "attention",
        attention,
        dict(q=B, k=B, v=B, o=F, lse=F, n="i32", scale="fp32"),
        dict(CAUSAL=False, BM=64, BN=32, D=64),
        4,
        2,
        (80,),
    ),
    (
        "attention_causal",
        attention,
        dict(q=H, k=H, v=H, o=F, lse=F, n="i32", scale="fp32"),
        dict(CAUSAL=True, BM=32, BN=32, D=32),
        2,
        3,
        (80,),
    ),
    ("dropout", dropout, dict(x=F, y=F, n="i32", p="fp32", seed="i32"), dict(BLOCK=512), 4, 1, (80, 90)),
    ("histogram", histogram, dict(x=I, counts=I, largest=I, total=F, n="i32"), dict(BLOCK=256), 4, 1, (80, 90)),
    ("scan", scan, dict(x=I, y=I, n="i32"), dict(BLOCK=256), 4, 1, (80, 90)),
]


def bare(ptx):
    """PTX without debug sections, file names and comments."""
    ptx = ptx[: ptx.index(".section")] if ".section" in ptx else ptx
    lines = [re.sub(r"\s*//.*", "", line).replace(", debug", "") for line in ptx.splitlines()]
    keep = [line.rstrip() for line in lines if line.strip() and not re.match(r"\s*\.(loc|file)\b|\$L__(tmp|func|info|sec)\w*:", line)]
    return "\n".join(keep) + "\n"


def main():
    kernels, total = [], 0
    for name, function, arguments, constants, warps, stages, targets in KERNELS:
        for target in targets:
            signature = arguments | {constant: "constexpr" for constant in constants}
            # The order is that of the function's own parameters.
            constexprs = {(function.arg_names.index(c),): v for c, v in constants.items()}
            divisible = [argument for argument, type in arguments.items() if type.startswith("*")] + list(DIVISIBLE.get(name, ""))
            attrs = {(function.arg_names.index(argument),): [["tt.divisibility", 16]] for argument in divisible}
            source = ASTSource(fn=function, signature=signature, constexprs=constexprs, attrs=attrs)
            options = {"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True}
            compiled = triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)
            text = bare(compiled.asm["ptx"])
            assert str(pathlib.Path.home()) not in text and "/tmp" not in text, "a path of this machine is left in the PTX"
            file = f"triton_{name}_{target}.ptx"
            (FOLDER / file).write_text(text)
            total += len(text)
            kernels.append(
                {
                    "name": name,
                    "file": file,
                    "entry": compiled.metadata.name,
                    "target": target,
                    "threads": 32 * compiled.metadata.num_warps,
                    "shared": compiled.metadata.shared,
                    "arguments": list(arguments) + ["global_scratch", "profile_scratch"],
                    "constants": constants,
                }
            )
            print(f"{file}: {len(text)} bytes, {compiled.metadata.shared} of shared memory, {text.count('.param') } params")
    origin = f"Triton {triton.__version__} by softcuda/scripts/make_triton_ptx.py"
    (FOLDER / "triton.json").write_text(json.dumps({"origin": origin, "kernels": kernels}, indent=1) + "\n")
    print(f"{total} bytes in all")


if __name__ == "__main__":
    main()
