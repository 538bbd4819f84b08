# What triton_sm_90.ptx is compiled from (Triton 3.9, without line information).
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def product(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.arange(0, BN)
    k = tl.arange(0, BK)
    sums = tl.zeros((BM, BN), tl.float32)
    for first in range(0, K, BK):
        x = tl.load(a + m[:, None] * K + (first + k)[None, :])
        y = tl.load(b + (first + k)[:, None] * BN + n[None, :])
        sums = tl.dot(x, y, sums)
    sums = tl.exp(sums - tl.max(sums, 1)[:, None])
    tl.store(c + m[:, None] * BN + n[None, :], sums.to(tl.bfloat16))


source = ASTSource(
    product,
    {"a": "*bf16", "b": "*bf16", "c": "*bf16", "K": "i32", "BM": "constexpr", "BN": "constexpr", "BK": "constexpr"},
    {"BM": 64, "BN": 16, "BK": 32},
)
print(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"])
