"""Writes the golden files of the ops: what PyTorch computes, forward and backward, in float64.

    python tests/golden/make_golden.py        (PyTorch; versions are recorded in each file)

One safetensors file an op. Tensors are named CASE.NAME. Inputs are float32, so that both precisions of
the engine start from the same numbers; results are float64. Gradients come from autograd, with a random
upstream gradient `dy` (or a random `scale` of a loss). Dropout masks come from a Philox of this file.
"""

import json
import pathlib
import struct
import sys

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.int32: "I32", torch.uint8: "U8"}
SEED = 20210316


class Golden:
    """Tensors of one file, and the generator of its random inputs."""

    def __init__(self, name):
        self.name, self.tensors = name, {}
        self.rng = torch.Generator().manual_seed(SEED)

    def normal(self, *shape, scale=1.0, shift=0.0):
        return (torch.randn(*shape, generator=self.rng) * scale + shift).float()

    def below(self, high, *shape):
        return torch.randint(high, shape, generator=self.rng, dtype=torch.int32)

    def bytes(self, *shape):
        return torch.randint(256, shape, generator=self.rng, dtype=torch.uint8)

    def case(self, case, inputs, function):
        """Stores `inputs` and what `function` returns: a dict of outputs and the scalar to derive.

        Float inputs whose name starts with an upper-case letter get their gradient stored as `d` + name in
        lower case, the others are constants. `function` takes the inputs, floats as float64.
        """
        args = {}
        for name, value in inputs.items():
            self.tensors[f"{case}.{name.lower()}"] = value
            if value.dtype == torch.float32:
                value = value.double()
                value.requires_grad_(name[0].isupper())
            args[name] = value
        outputs, scalar = function(**args)
        if scalar is not None and scalar.requires_grad:
            scalar.backward()
        for name, value in args.items():
            if name[0].isupper():
                grad = torch.zeros_like(value) if value.grad is None else value.grad
                self.tensors[f"{case}.d{name.lower()}"] = grad
        for name, value in outputs.items():
            value = value if torch.is_tensor(value) else torch.tensor(value)
            self.tensors[f"{case}.{name}"] = value.detach().double().reshape(-1)

    def save(self):
        """The safetensors format: length of the header, header, data."""
        header = {
            "__metadata__": {
                "torch": torch.__version__,
                "python": sys.version.split()[0],
                "seed": str(SEED),
                "script": "tests/golden/make_golden.py",
            }
        }
        data = b""
        # 8-byte types first, so that everything is aligned.
        for name, t in sorted(self.tensors.items(), key=lambda x: (-x[1].element_size(), x[0])):
            raw = t.contiguous().numpy().tobytes()
            span = [len(data), len(data) + len(raw)]
            header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": span}
            data += raw
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = HERE / f"{self.name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        print(f"{path.name}: {path.stat().st_size} bytes, {len(self.tensors)} tensors")


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., 2011) on Python integers."""
    mask = 0xFFFFFFFF
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & mask, (p >> 32) ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]

# The dropout site of all cases; the test has the same numbers. 0.25 is exact in every format.
P, KEY, SITE, STEP = 0.25, [0x1234, 0xABCD], 5, 77


def dropout(x):
    """Keeps element `i` if word `i % 4` of block `i // 4` is at least `P * 2^32`."""
    keep = []
    for i in range(x.numel()):
        block = i // 4
        word = philox([block & 0xFFFFFFFF, block >> 32, SITE, STEP], KEY)[i % 4]
        keep.append(1.0 / (1.0 - P) if word >= P * 2**32 else 0.0)
    return x * torch.tensor(keep, dtype=x.dtype).reshape(x.shape)


def linear():
    g = Golden("linear")
    for case, act, drop, residual in [
        ("plain", False, False, False),
        ("residual", False, True, True),
        ("gelu", True, False, False),
        ("all", True, True, True),
    ]:
        rows, k, n = 5, 11, 18

        def run(X, W, B, dy, residual_in):
            y = F.linear(X, W, B)
            y = F.gelu(y) if act else y
            y = dropout(y) if drop else y
            y = residual_in + y if residual else y
            return {"y": y}, (y * dy).sum()

        inputs = {"X": g.normal(rows, k), "W": g.normal(n, k, scale=0.4), "B": g.normal(n)}
        inputs |= {"dy": g.normal(rows, n), "residual_in": g.normal(rows, n)}
        g.case(case, inputs, run)
    g.save()


def attention():
    g = Golden("attention")
    heads, dim = 2, 8
    c = heads * dim
    # The second has fewer queries than keys, as in the last layer, and a segment without queries.
    for case, q_lens, k_lens in [("all", [3, 1, 5], [3, 1, 5]), ("few", [1, 0, 2], [4, 3, 6])]:

        def run(Q, KV, dout):
            outs, lses = [], []
            for q, kv in zip(Q.split(q_lens), KV.split(k_lens)):
                by_head = lambda x: x.reshape(-1, heads, dim).transpose(0, 1)
                q, k, v = by_head(q), by_head(kv[:, :c]), by_head(kv[:, c:])
                outs.append(F.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(-1, c))
                lses.append((q @ k.transpose(1, 2) / dim**0.5).logsumexp(2).T)
            out = torch.cat(outs)
            return {"out": out, "lse": torch.cat(lses)}, (out * dout).sum()

        inputs = {"Q": g.normal(sum(q_lens), c), "KV": g.normal(sum(k_lens), 2 * c)}
        inputs["dout"] = g.normal(sum(q_lens), c)
        g.case(case, inputs, run)
    g.save()


def layernorm():
    g = Golden("layernorm")
    for case, rows, c in [("small", 3, 5), ("wide", 4, 67)]:

        def run(X, W, B, dy):
            y = F.layer_norm(X, (c,), W, B, eps=1e-6)
            return {"y": y}, (y * dy).sum()

        inputs = {"X": g.normal(rows, c, scale=2.0, shift=1.0), "W": g.normal(c), "B": g.normal(c)}
        g.case(case, inputs | {"dy": g.normal(rows, c)}, run)
    g.save()


def patch_gather():
    g = Golden("patch_gather")
    side, fine, count = 24, 4, 2
    cells = (side // fine) ** 2
    hidden = torch.rand(count, cells, generator=g.rng) < 0.5
    words = []
    for row in hidden.tolist():
        bits = sum(1 << i for i, bit in enumerate(row) if bit)
        for w in range((cells + 31) // 32):
            word = bits >> (32 * w) & 0xFFFFFFFF
            words.append(word - 2**32 if word >= 2**31 else word)
    images = g.bytes(count, 1, side, side)
    mean, std = torch.tensor(0.47).float(), torch.tensor(0.22).float()
    x = (images.double() / 255 - mean.double()) / std.double()
    shown = ~hidden.reshape(count, 1, side // fine, side // fine)
    x = x * shown.repeat_interleave(fine, 2).repeat_interleave(fine, 3)
    for case, patch in [("fine", 4), ("coarse", 12)]:
        grid = (side // patch) ** 2
        img, cell = g.below(count, 3), g.below(grid, 3)
        patches = F.unfold(x, patch, stride=patch).transpose(1, 2)
        inputs = {"images": images, "hidden": torch.tensor(words, dtype=torch.int32)}
        inputs |= {"img": img, "cell": cell}
        g.case(case, inputs, lambda **_: ({"out": patches[img.long(), cell.long()]}, None))
    g.save()


def embed():
    g = Golden("embed")
    c, texts, visible, hidden = 6, 5, 4, 3
    rows = torch.randperm(texts + visible + hidden, generator=g.rng).int()
    inputs = {
        "row": rows[:texts],
        "id": g.below(4, texts),
        "pos": g.below(3, texts),
        "vis_row": rows[texts : texts + visible],
        "vis_cell": g.below(4, visible),
        "hid_row": rows[texts + visible :],
        "hid_cell": g.below(4, hidden),
        "Word": g.normal(4, c),
        "Position": g.normal(3, c),
        "Modality": g.normal(2, c),
        "Proj": g.normal(visible, c),
        "Cells": g.normal(4, c),
        "Mask": g.normal(c),
        "dy": g.normal(len(rows), c),
    }

    def run(row, id, pos, vis_row, vis_cell, hid_row, hid_cell, Word, Position, Modality, Proj, Cells, Mask, dy):
        x = torch.zeros(len(rows), c, dtype=torch.float64)
        text = F.embedding(id, Word) + F.embedding(pos, Position) + Modality[0]
        x = x.index_add(0, row, text)
        x = x.index_add(0, vis_row, Proj + F.embedding(vis_cell, Cells) + Modality[1])
        x = x.index_add(0, hid_row, Mask + F.embedding(hid_cell, Cells) + Modality[1])
        return {"x": x}, (x * dy).sum()

    g.case("all", inputs, run)
    g.save()


def gather_rows():
    g = Golden("gather_rows")
    inputs = {"X": g.normal(5, 7), "rows": g.below(5, 8), "dy": g.normal(8, 7)}
    g.case("all", inputs, lambda X, rows, dy: ({"y": X[rows]}, (X[rows] * dy).sum()))
    g.save()


def pool():
    g = Golden("pool")
    ranges = [(0, 4), (4, 5), (5, 9)]
    for case in ["mean", "cls"]:

        def run(X, dy, ranges):
            ends = ranges.reshape(-1, 2).tolist()
            y = torch.stack([X[a:b].mean(0) if case == "mean" else X[a] for a, b in ends])
            return {"y": y}, (y * dy).sum()

        inputs = {"X": g.normal(9, 7), "dy": g.normal(3, 7)}
        g.case(case, inputs | {"ranges": torch.tensor(ranges, dtype=torch.int32)}, run)
    g.save()


def masked_ce():
    g = Golden("masked_ce")

    def run(H, Word, Bias, label, scale):
        logits = F.linear(H, Word, Bias)
        loss = F.cross_entropy(logits, label.long(), reduction="sum")
        right = (logits.argmax(1) == label).sum().item()
        sums = torch.tensor([loss.item(), len(label), right], dtype=torch.float64)
        return {"sums": sums, "lse": logits.logsumexp(1)}, loss * scale[0]

    inputs = {"H": g.normal(6, 9), "Word": g.normal(75, 9), "Bias": g.normal(75)}
    inputs |= {"label": g.below(75, 6), "scale": torch.tensor([0.375])}
    # One right answer.
    inputs["label"][2] = F.linear(inputs["H"], inputs["Word"], inputs["Bias"]).argmax(1)[2]
    g.case("all", inputs, run)
    g.save()


def masked_patch_loss():
    g = Golden("masked_patch_loss")
    side, patch, count, tokens = 18, 6, 2, 4
    mean, std = torch.tensor(0.47).float().double(), torch.tensor(0.22).float().double()
    for case, loss in [("l1", F.l1_loss), ("l2", F.mse_loss), ("smooth_l1", F.smooth_l1_loss)]:
        for target in ["pixels", "patch_norm"]:

            def run(Pred, images, img, cell, scale):
                x = (images.double() / 255 - mean) / std
                t = F.unfold(x, patch, stride=patch).transpose(1, 2)[img.long(), cell.long()]
                if target == "patch_norm":
                    var = t.var(1, unbiased=False, keepdim=True)
                    t = (t - t.mean(1, keepdim=True)) / (var + 1e-6).sqrt()
                value = loss(Pred, t, reduction="sum")
                sums = [value.item(), t.numel(), (Pred - t).abs().sum().item()]
                return {"sums": torch.tensor(sums, dtype=torch.float64)}, value * scale[0]

            inputs = {"Pred": g.normal(tokens, patch * patch, scale=1.5)}
            inputs["images"] = g.bytes(count, 1, side, side)
            inputs |= {"img": g.below(count, tokens), "cell": g.below((side // patch) ** 2, tokens)}
            g.case(f"{case}_{target}", inputs | {"scale": torch.tensor([0.375])}, run)
    g.save()


def bce():
    g = Golden("bce")

    def run(Z, target, scale):
        known = target != 255
        z, t = Z[known], target[known].double()
        loss = F.binary_cross_entropy_with_logits(z, t, reduction="sum")
        right = ((z > 0) == (t == 1)).sum().item()
        sums = torch.tensor([loss.item(), known.sum().item(), right], dtype=torch.float64)
        return {"sums": sums}, loss * scale[0]

    target = g.below(3, 23)
    target = torch.where(target == 2, 255, target).to(torch.uint8)
    inputs = {"Z": g.normal(23, scale=4.0), "target": target, "scale": torch.tensor([0.375])}
    g.case("all", inputs, run)
    g.save()


def contrastive():
    g = Golden("contrastive")
    images, texts, dim, pairs = 4, 5, 8, 3

    def start():
        inputs = {"Images": g.normal(images, dim), "Texts": g.normal(texts, dim)}
        return inputs | {"Tau": torch.tensor([1.9]), "scale": torch.tensor([0.375])}

    def logits(Images, Texts, Tau):
        return F.normalize(Images, dim=1) @ F.normalize(Texts, dim=1).T * Tau.exp()

    def hard(Images, Texts, Tau, scale):
        x, labels = logits(Images, Texts, Tau), torch.arange(pairs)
        loss = F.cross_entropy(x[:pairs], labels, reduction="sum")
        loss = loss + F.cross_entropy(x.T[:pairs], labels, reduction="sum")
        return {"sums": torch.stack([loss, torch.tensor(2.0 * pairs)])}, loss * scale[0]

    g.case("pairs", start(), hard)

    raw = torch.rand(images, texts, generator=g.rng)
    # Image 1 and text 3 have no target.
    raw[1], raw[:, 3] = 0.0, 0.0
    rows = torch.nan_to_num(raw / raw.sum(1, keepdim=True)).float()
    cols = torch.nan_to_num(raw / raw.sum(0, keepdim=True)).float()

    def soft(Images, Texts, Tau, scale, rows, cols):
        x = logits(Images, Texts, Tau)
        loss = -(rows * x.log_softmax(1)).sum() - (cols * x.log_softmax(0)).sum()
        count = (rows.sum(1) > 0).sum() + (cols.sum(0) > 0).sum()
        return {"sums": torch.stack([loss, count.double()])}, loss * scale[0]

    g.case("soft", start() | {"rows": rows, "cols": cols}, soft)
    g.save()


def dropout_op():
    g = Golden("dropout")

    def run(X, dy):
        y = dropout(X)
        return {"y": y}, (y * dy).sum()

    g.case("all", {"X": g.normal(101), "dy": g.normal(101)}, run)
    g.save()


def adamw():
    g = Golden("adamw")
    steps, n = 3, 19
    for case, decay in [("decay", 0.05), ("plain", 0.0)]:
        w0, grads = g.normal(n), g.normal(steps, n)
        w = torch.nn.Parameter(w0.double())
        optimiser = torch.optim.AdamW(
            [w], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=decay
        )
        for grad in grads:
            w.grad = grad.double() * 0.5
            optimiser.step()
        state = optimiser.state[w]
        outputs = {"w": w, "m": state["exp_avg"], "v": state["exp_avg_sq"]}
        g.case(case, {"w0": w0, "grads": grads}, lambda **_: (outputs, None))
    g.save()


def grad_norm():
    g = Golden("grad_norm")
    x = g.normal(501, scale=3.0)
    norm = torch.nn.utils.get_total_norm([x.double()])
    g.case("all", {"g": x}, lambda **_: ({"norm": norm.reshape(1)}, None))
    g.save()


if __name__ == "__main__":
    for op in [
        linear, attention, layernorm, patch_gather, embed, gather_rows, pool, masked_ce,
        masked_patch_loss, bce, contrastive, dropout_op, adamw, grad_norm,
    ]:
        op()
