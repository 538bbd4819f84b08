#!/usr/bin/env python3
"""Time the same training step in this engine and in PyTorch, in turns, and print a table.

    cargo build --release
    python3 benches/peers.py --peers ../shared/peers --torch-python VENV/bin/python [--size tiny] [--rounds 3] [--steps 6]

The machine's speed drifts, so each round runs every engine once, and what is compared is the ratio of medians
over rounds. --peers is a folder with bench_torch.py and workload/, the same bytes for every engine; the interpreter
of --torch-python has torch and numpy.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

WORKLOADS = {"tiny": "tiny_b32.bin", "base": "base_b8.bin"}


def last_json(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1] if "torch" in str(command) else done.stdout)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--peers", type=pathlib.Path, required=True)
    ap.add_argument("--torch-python", required=True)
    ap.add_argument("--engine", default="target/release/cxr-engine")
    ap.add_argument("--size", choices=WORKLOADS, action="append")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--steps", type=int, default=6)
    ap.add_argument("--threads", type=int, default=2)
    args = ap.parse_args()

    def engine(size):
        out = last_json(
            [args.engine, "--json", "bench", "step", "--preset", size, "--workload", args.peers / "workload" / WORKLOADS[size]]
            + ["--steps", str(args.steps), "--warmup", "2", "--threads", str(args.threads)]
        )
        return out["samples_per_s"], out["peak_bytes"] / 2**20

    def torch(size, *mode):
        out = last_json(
            [args.torch_python, args.peers / "bench_torch.py", "--size", size, "--steps", str(args.steps), "--warmup", "2"]
            + ["--threads", str(args.threads), "--mode", *mode]
        )
        return out["samples_s"], out["peak_rss_mb"]

    for size in args.size or ["tiny", "base"]:
        runs = {
            "cxr-engine": lambda: engine(size),
            "PyTorch, padded": lambda: torch(size, "padded"),
            "PyTorch, packed": lambda: torch(size, "packed"),
            "PyTorch, packed, last layer cut to needed rows": lambda: torch(size, "packed", "--last", "needed"),
        }
        seen = {name: [] for name in runs}
        for _ in range(args.rounds):
            for name, run in runs.items():
                seen[name].append(run())
        ours = statistics.median(speed for speed, _ in seen["cxr-engine"])
        memory = max(mib for _, mib in seen["cxr-engine"])
        print(f"\n| {size}, {args.threads} threads | samples/s (all rounds) | cxr-engine is faster | peak MiB | cxr-engine's share |")
        print("|---|---|---|---|---|")
        for name, results in seen.items():
            speeds = sorted(speed for speed, _ in results)
            median, mib = statistics.median(speeds), max(m for _, m in results)
            spread = ", ".join(f"{s:.2f}" for s in speeds)
            print(f"| {name} | {median:.2f} ({spread}) | {ours / median:.2f} times | {mib:.0f} | {memory / mib:.2f} |")


main()
