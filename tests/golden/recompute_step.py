#!/usr/bin/env python3
"""Recompute in PyTorch one training step that `cxr-engine dump` wrote, and compare.

    cxr-engine dump --config configs/nano.toml --out DIR
    python3 tests/golden/recompute_step.py DIR/step.safetensors

Everything is recomputed from the pixels, ids and parameters of the file, in float64, by the plainest code:
no packing tricks, attention segment by segment with all rows of every layer. Agreement is asked to 1e-5 relative for
each loss and to 1e-3 relative norm for each gradient (the engine computes in float32). Needs torch and numpy.
"""
import json
import math
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

DTYPES = {"F32": np.float32, "F64": np.float64, "U32": np.uint32, "U8": np.uint8, "I8": np.int8}


def load(path):
    raw = open(path, "rb").read()
    (size,) = struct.unpack_from("<Q", raw)
    head = json.loads(raw[8 : 8 + size])
    meta = head.pop("__metadata__")
    tensors = {}
    for name, info in head.items():
        a, b = (8 + size + o for o in info["data_offsets"])
        tensors[name] = np.frombuffer(raw[a:b], DTYPES[info["dtype"]]).reshape(info["shape"])
    return tensors, meta


def soft_targets(labels, count, pairs):
    """Targets of rows and of columns, [images, texts] each, and how many rows and columns have one.

    The softmax over all partners with known labels of the cosine of label sets: +1 present, -1 uncertain and taken
    as present, 0 absent. All labels -2 is unknown: then the own partner is the target, and without partner none is.
    """
    known, present = (labels != -2).any(1), (np.abs(labels) == 1).astype(np.float64)
    size = np.sqrt((present**2).sum(1))
    dots, sizes = present[:count] @ present[count:].T, np.outer(size[:count], size[count:])
    # Two studies without any finding agree.
    none = np.outer(size[:count] == 0, size[count:] == 0)
    cosine = np.where(none, 1.0, dots / np.where(sizes == 0, 1.0, sizes))

    def fill(cosine, known_rows, known_columns):
        target = np.zeros_like(cosine)
        for i in range(len(target)):
            if known_rows[i] and known_columns.any():
                share = np.where(known_columns, np.exp(cosine[i]), 0.0)
                target[i] = share / share.sum()
            elif i < pairs:
                target[i, i] = 1.0
        return target

    rows = fill(cosine, known[:count], known[count:])
    columns = fill(cosine.T, known[count:], known[:count])
    total = rows.any(1).sum() + columns.any(1).sum()
    return torch.from_numpy(rows), torch.from_numpy(columns.T.copy()), int(total)


def main(path):
    data, meta = load(path)
    cfg, weights = json.loads(meta["model"]), json.loads(meta["loss"])
    mean, std = float(meta["pixel_mean"]), float(meta["pixel_std"])
    param = {
        k[6:]: torch.tensor(v.astype(np.float64), requires_grad=True) for k, v in data.items() if k.startswith("param.")
    }

    def index(name):
        return torch.from_numpy(data["batch." + name].astype(np.int64))

    def linear(x, name):
        return x @ param[name + ".weight"].T + param[name + ".bias"]

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], param[name + ".weight"], param[name + ".bias"], eps=1e-6)

    width, heads, side = cfg["width"], cfg["heads"], cfg["image"]
    images = torch.from_numpy(data["batch.images"].astype(np.float64))
    pixels = (images / 255 - mean) / std
    fine = side // cfg["scales"][0]
    words = data["batch.hidden"]
    hidden = np.zeros((len(words), fine * fine), bool)
    for cell in range(fine * fine):
        hidden[:, cell] = words[:, cell // 32] >> (cell % 32) & 1
    by_pixel = torch.from_numpy(
        np.repeat(np.repeat(hidden.reshape(-1, fine, fine), cfg["scales"][0], 1), cfg["scales"][0], 2)
    )
    seen = torch.where(by_pixel, torch.zeros(()).double(), pixels)

    def patches(source, p, img, cell):
        grid = side // p
        cut = source.reshape(len(source), grid, p, grid, p).permute(0, 1, 3, 2, 4).reshape(len(source), grid * grid, p * p)
        return cut[img, cell]

    seg = index("seg").tolist()
    x = torch.zeros(seg[-1], width, dtype=torch.float64)
    modality = param["embed.modality"]
    text = param["embed.word"][index("text_id")] + param["embed.position"][index("text_pos")] + modality[0]
    x = x.index_copy(0, index("text_row"), text)
    for s, p in enumerate(cfg["scales"]):
        at, name = f"scale{s}.", f"embed.scale{p}"
        shown = patches(seen, p, index(at + "vis_img"), index(at + "vis_cell"))
        place = param[name + ".position"]
        x = x.index_copy(
            0, index(at + "vis_row"), linear(shown, name + ".patch") + place[index(at + "vis_cell")] + modality[1]
        )
        x = x.index_copy(0, index(at + "hid_row"), param[name + ".mask"] + place[index(at + "hid_cell")] + modality[1])

    for layer in range(cfg["layers"]):
        name = f"blocks.{layer}."
        h = norm(x, name + "ln1")
        q, kv = linear(h, name + "attn.q"), linear(h, name + "attn.kv")
        out = []
        for a, b in zip(seg, seg[1:]):
            split = lambda m: m[a:b].reshape(b - a, heads, width // heads).transpose(0, 1)
            qh, kh, vh = split(q), split(kv[:, :width]), split(kv[:, width:])
            weights_ = torch.softmax(qh @ kh.transpose(1, 2) / math.sqrt(width // heads), -1)
            out.append((weights_ @ vh).transpose(0, 1).reshape(b - a, width))
        x = x + linear(torch.cat(out), name + "attn.out")
        x = x + linear(F.gelu(linear(norm(x, name + "ln2"), name + "mlp.up")), name + "mlp.down")
    state = norm(x, "norm")
    need = index("need_row")
    losses = {}

    rows = state[need[index("mlm_need")]]
    if len(rows):
        rows = norm(F.gelu(linear(rows, "heads.mlm.dense")), "heads.mlm.norm")
        logits = rows @ param["embed.word"].T + param["heads.mlm.bias"]
        losses["mlm"] = (F.cross_entropy(logits, index("mlm_label")), weights["mlm"])
    for s, p in enumerate(cfg["scales"]):
        at = f"scale{s}."
        rows = state[need[index(at + "hid_need")]]
        if not len(rows):
            continue
        pred = linear(rows, f"heads.mvm.scale{p}")
        target = patches(pixels, p, index(at + "hid_img"), index(at + "hid_cell"))
        if weights["patch_target"] == "patch_norm":
            target = target - target.mean(1, keepdim=True)
            target = target / (target.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        kind = {"l1": F.l1_loss, "l2": F.mse_loss, "smooth_l1": F.smooth_l1_loss}[weights["patch_loss"]]
        own = (weights["scale_weights"] or [1.0] * len(cfg["scales"]))[s]
        losses[f"mvm.scale{p}"] = (kind(pred, target), weights["mvm"] * own)
    rows = state[need[index("itm_need")]]
    if len(rows):
        logit = linear(rows, "heads.itm")[:, 0]
        losses["itm"] = (F.binary_cross_entropy_with_logits(logit, index("itm_label").double()), weights["itm"])
    ranges = index("pool_range").tolist()
    if "heads.itc.log_inv_tau" in param and ranges:
        kept = state[need]
        take = (lambda r: r.mean(0)) if cfg["pool"] == "mean" else (lambda r: r[0])
        pooled = F.normalize(torch.stack([take(kept[a:b]) for a, b in ranges]), dim=1, eps=1e-6)
        count, pairs = index("pool").tolist()
        sim = pooled[:count] @ pooled[count:].T * param["heads.itc.log_inv_tau"].exp()
        if weights["itc_soft_labels"]:
            rows, columns, total = soft_targets(data["batch.pool_labels"], count, pairs)
            if total:
                loss = -(rows * sim.log_softmax(1)).sum() - (columns * sim.log_softmax(0)).sum()
                losses["itc"] = (loss / total, weights["itc"])
        elif pairs:
            target = torch.arange(pairs)
            loss = F.cross_entropy(sim[:pairs], target) + F.cross_entropy(sim.T[:pairs], target)
            losses["itc"] = (loss / 2, weights["itc"])

    total = sum(w * loss for loss, w in losses.values())
    total.backward()
    bad = 0

    def check(name, ok, text):
        nonlocal bad
        bad += not ok
        print(f"{'ok ' if ok else 'BAD'} {name}: {text}")

    for name, value in [("total", total)] + [(n, loss) for n, (loss, _) in losses.items()]:
        mine, theirs = float(data["loss." + name][0]), value.item()
        error = abs(mine - theirs) / max(abs(theirs), 1e-12)
        check("loss." + name, error <= 1e-5, f"engine {mine:.9f}, torch {theirs:.9f}, relative error {error:.1e}")
    for name, p in param.items():
        mine = data["grad." + name].astype(np.float64)
        theirs = np.zeros_like(mine) if p.grad is None else p.grad.numpy()
        norm_ = np.linalg.norm(theirs)
        error = np.linalg.norm(mine - theirs) / norm_ if norm_ else np.linalg.norm(mine)
        check("grad." + name, error <= 1e-3, f"norm {norm_:.3e}, relative error {error:.1e}")
    print(f"{len(param)} gradients and {len(losses) + 1} losses compared, {bad} differ; torch {torch.__version__}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
