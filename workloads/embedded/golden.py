#!/usr/bin/env python3
"""Reference values of the embedded model, computed from the GGUF file and eval.txt alone.

An implementation of its own on numpy: GGUF reader, SentencePiece BPE encoder on the
tokenizer in the file, Llama forward pass in float32 on the F16 weights. Writes
golden.json and prints the sensitivity table of the README.
"""
import argparse
import heapq
import json
import os
import struct

import numpy as np

SEPARATOR = "<|endoftext|>"
PROMPT = "In the beginning"
LINEARS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
SCHEMES = [("int8 row", 8, 0), ("int6 row", 6, 0), ("int4 g128", 4, 128), ("int4 g32", 4, 32),
           ("int4 row", 4, 0), ("int3 g32", 3, 32), ("int2 g32", 2, 32)]       # group 0: whole row


# ---------------------------------------------------------------- GGUF

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        magic, version, tensors, pairs = (self.scalar(f) for f in ("<4s", "<I", "<Q", "<Q"))
        assert magic == b"GGUF" and version == 3
        self.meta = {}
        for _ in range(pairs):
            key = self.string()
            self.meta[key] = self.value(self.scalar("<I"))
        table = []
        for _ in range(tensors):
            name = self.string()
            shape = [self.scalar("<Q") for _ in range(self.scalar("<I"))]
            table.append((name, shape[::-1], self.scalar("<I"), self.scalar("<Q")))
        base = self.at + -self.at % self.meta.get("general.alignment", 32)
        self.tensors = {}
        for name, shape, kind, offset in table:
            array = np.frombuffer(self.data, {0: "<f4", 1: "<f2"}[kind], int(np.prod(shape)), base + offset)
            self.tensors[name] = array.reshape(shape).astype(np.float32)

    def scalar(self, form):
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self):
        size = self.scalar("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            inner, count = self.scalar("<I"), self.scalar("<Q")
            return [self.value(inner) for _ in range(count)]
        return self.scalar(SCALARS[kind])


# ---------------------------------------------------------------- tokenizer

class Tokenizer:
    """Merges the adjacent pair with the best score first, the leftmost on ties."""

    def __init__(self, meta):
        self.pieces = meta["tokenizer.ggml.tokens"]
        self.kinds = meta["tokenizer.ggml.token_type"]
        scores = meta["tokenizer.ggml.scores"]
        self.table = {p: (i, s) for i, (p, s, k) in enumerate(zip(self.pieces, scores, self.kinds)) if k == 1}
        self.bytes = {int(p[3:5], 16): i for i, (p, k) in enumerate(zip(self.pieces, self.kinds)) if k == 6}
        self.bos = meta["tokenizer.ggml.bos_token_id"]

    def encode(self, text):
        """BOS and the tokens of one blank plus the text."""
        parts = list((" " + text).replace(" ", "\u2581"))
        after = list(range(1, len(parts) + 1))                     # neighbours of live symbols
        before = list(range(-1, len(parts) - 1))
        heap = []

        def offer(left):
            if left >= 0 and after[left] < len(parts):
                joined = parts[left] + parts[after[left]]
                if joined in self.table:
                    heapq.heappush(heap, (-self.table[joined][1], left, after[left], joined))

        for left in range(len(parts) - 1):
            offer(left)
        while heap:
            _, left, right, joined = heapq.heappop(heap)
            if parts[left] is None or after[left] != right or parts[left] + parts[right] != joined:
                continue                                           # a neighbour merged meanwhile
            parts[left], parts[right] = joined, None
            after[left] = after[right]
            if after[left] < len(parts):
                before[after[left]] = left
            offer(before[left])
            offer(left)
        ids = [self.bos]
        for part in filter(None, parts):
            ids += [self.table[part][0]] if part in self.table else [self.bytes[b] for b in part.encode()]
        return ids

    def decode(self, ids):
        data = b""
        for i in ids:
            if self.kinds[i] == 6:
                data += bytes([int(self.pieces[i][3:5], 16)])
            elif self.kinds[i] == 1:
                data += self.pieces[i].replace("\u2581", " ").encode()
        return data.decode(errors="replace")


# ---------------------------------------------------------------- model

def forward(meta, tensors, ids):
    """Logits [token, vocabulary] of one sequence, float32 throughout."""
    get = lambda key: meta["llama." + key]
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    dim, eps, count = get("rope.dimension_count"), np.float32(get("attention.layer_norm_rms_epsilon")), len(ids)
    angle = np.arange(count)[:, None] * get("rope.freq_base") ** (-np.arange(0, dim, 2) / dim)
    cosine, sine = (f(angle).astype(np.float32)[:, None] for f in (np.cos, np.sin))

    def norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight

    def rope(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).reshape(x.shape)

    x = tensors["token_embd.weight"][ids]
    future = np.triu(np.full((count, count), -np.inf, np.float32), 1)
    for layer in range(get("block_count")):
        w = {n: tensors[f"blk.{layer}.{n}.weight"] for n in LINEARS + ("attn_norm", "ffn_norm")}
        h = norm(x, w["attn_norm"])
        q = rope((h @ w["attn_q"].T).reshape(count, heads, dim))
        k = rope((h @ w["attn_k"].T).reshape(count, kv_heads, dim))
        v = (h @ w["attn_v"].T).reshape(count, kv_heads, dim)
        mixed = np.empty_like(q)
        for head in range(heads):
            group = head * kv_heads // heads
            scores = q[:, head] @ k[:, group].T / np.float32(np.sqrt(dim)) + future
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed[:, head] = scores / scores.sum(-1, keepdims=True) @ v[:, group]
        x = x + mixed.reshape(count, -1) @ w["attn_output"].T
        h = norm(x, w["ffn_norm"])
        gate = h @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, tensors["output_norm.weight"]) @ tensors["token_embd.weight"].T


def quantized(tensors, bits, group):
    """Symmetric round to nearest, half to even, of the linear tensors; float32 scales."""
    result = dict(tensors)
    for name, weight in tensors.items():
        if name.split(".")[-2] in LINEARS:
            groups = weight.reshape(-1, group or weight.shape[1])
            top = 2 ** (bits - 1) - 1
            scale = np.abs(groups).max(-1, keepdims=True) / np.float32(top)
            scale[scale == 0] = 1
            result[name] = (np.clip(np.rint(groups / scale), -top, top) * scale).reshape(weight.shape)
    return result


def negative_log_likelihoods(meta, tensors, sequences):
    """Sum over the predicted tokens of each sequence; softmax in float64."""
    sums = []
    for ids in sequences:
        logits = forward(meta, tensors, ids[:-1]).astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        sums.append(-logits[np.arange(len(ids) - 1), ids[1:]].sum())
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=".", help="with the model and eval.txt (default: here)")
    parser.add_argument("--model", default="systole-kjv-3m.gguf", help="file name (%(default)s)")
    args = parser.parse_args()
    gguf = Gguf(os.path.join(args.folder, args.model))
    meta, tensors, tokenizer = gguf.meta, gguf.tensors, Tokenizer(gguf.meta)

    prompt = tokenizer.encode(PROMPT)
    logits = forward(meta, tensors, prompt)[-1]
    greedy, margins = list(prompt), []
    for _ in range(40):
        last = forward(meta, tensors, greedy)[-1]
        greedy.append(int(last.argmax()))
        margins.append(float(np.diff(np.sort(last)[-2:])[0]))

    context = meta["llama.context_length"]
    with open(os.path.join(args.folder, "eval.txt")) as file:
        chapters = [part.strip() for part in file.read().split(SEPARATOR)]
    sequences = [tokenizer.encode(text)[:context] for text in chapters]
    count = sum(len(ids) - 1 for ids in sequences)
    sums = negative_log_likelihoods(meta, tensors, sequences)
    nll = sum(sums) / count

    table = []
    print(f"| weights | nll | perplexity | change |\n|---|---|---|---|\n| F16 | {nll:.4f} | {np.exp(nll):.3f} | |")
    for name, bits, group in SCHEMES:
        value = sum(negative_log_likelihoods(meta, quantized(tensors, bits, group), sequences)) / count
        table.append({"scheme": name, "bits": bits, "group": group, "nll": round(value, 6),
                      "perplexity": round(float(np.exp(value)), 4)})
        print(f"| {name} | {value:.4f} | {np.exp(value):.3f} | {100 * np.expm1(value - nll):+.1f} % |")

    top = np.argsort(-logits)[:5]
    golden = {
        "prompt": {
            "text": PROMPT, "ids": prompt,
            "top5": [{"id": int(i), "piece": tokenizer.pieces[i], "logit": round(float(logits[i]), 5)} for i in top],
            "logits_sum": round(float(logits.astype(np.float64).sum()), 4),
            "logits_l2": round(float(np.linalg.norm(logits.astype(np.float64))), 4)},
        "greedy": {"ids": greedy[len(prompt):], "text": tokenizer.decode(greedy[len(prompt):]),
                   "smallest_margin": round(min(margins), 5)},
        "eval": {
            "protocol": "each chapter alone: BOS + tokens, cut to 512 in total; every token after BOS predicted; "
                        "one mean over all; softmax in float64 over float32 logits",
            "chapters": [{"tokens": len(ids) - 1, "nll_sum": round(s, 4)} for ids, s in zip(sequences, sums)],
            "tokens": count, "nll": round(nll, 6), "perplexity": round(float(np.exp(nll)), 4)},
        "sensitivity": {
            "method": "linear tensors of the layers only, symmetric round to nearest (half to even), "
                      "scale = absmax / (2^(bits-1) - 1) in float32 per group of inputs (0: whole row), levels "
                      "-(2^(bits-1)-1) .. 2^(bits-1)-1, so int2 is {-1, 0, 1}; activations float32",
            "table": table},
    }
    with open(os.path.join(args.folder, "golden.json"), "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
