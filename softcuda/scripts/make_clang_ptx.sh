#!/usr/bin/env bash
# Compiles softcuda/tests/foreign/clang.cu with clang's own NVPTX back end, once as it comes and once with no optimisation, which
# keeps every variable in local memory and every branch. The PTX is stored: tests need no clang. CLANG names another than clang-19.
set -euo pipefail
cd "$(dirname "$0")/../tests/foreign"

clang=${CLANG:-clang-19}
for level in 0 2; do
    "$clang" -x cuda clang.cu --cuda-device-only --cuda-gpu-arch=sm_80 -nocudainc -nocudalib -Wno-unknown-cuda-version \
        -Xclang -target-feature -Xclang +ptx80 -O$level -S -o - | sed 's/[[:space:]]*\/\/.*//; /^[[:space:]]*$/d' >"clang_O$level.ptx"
done
ls -l clang_*.ptx | awk '{ print $9 ": " $5 " bytes" }'
