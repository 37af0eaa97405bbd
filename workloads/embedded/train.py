#!/usr/bin/env python3
"""Train the embedded King James language model and export it as GGUF v3.

The parts, in order:
  read_chapters   text of the Debian package bible-kjv-text, one paragraph a chapter
  train_bpe       SentencePiece-style BPE with byte fallback, 1024 pieces
  Llama           RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU, tied classifier
  pack            chapters to training rows, each beginning with BOS
  train           AdamW, warm-up and cosine decay, checkpoints in a scratch folder
  write_gguf      F16 matrices, F32 norm vectors, the tokenizer in the metadata

A stopped run continues from its checkpoint when the same command is given again;
`--export-only` writes the model and eval.txt from the checkpoint without training.
golden.py computes the reference values from the exported files alone.
"""
import argparse
import collections
import os
import struct
import subprocess
import tempfile
import time
from math import cos, pi, sqrt

import numpy as np
import torch
import torch.nn.functional as F

HIDDEN, INTER, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 256, 768, 4, 4, 2, 64
VOCAB, CONTEXT, EPS, ROPE_BASE = 1024, 512, 1e-5, 10000.0
UNK, BOS, EOS, FIRST_BYTE = 0, 1, 2, 3
SPACE = "\u2581"                       # SentencePiece's visible blank
SEPARATOR = "<|endoftext|>"            # the line between the chapters of eval.txt
HELD_OUT_EVERY, EVAL_EVERY = 25, 4     # chapters 25, 50, ...; every 4th of those is in eval.txt


# ---------------------------------------------------------------- text

def read_chapters():
    """[text]: 1189 chapters in Bible order, the verses joined by single blanks."""
    lines = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    chapters = collections.OrderedDict()
    for line in lines:                 # "Ge1:1 In the beginning ..."
        reference, verse = line.split(" ", 1)
        chapters.setdefault(reference.split(":")[0], []).append(" ".join(verse.split()))
    assert len(chapters) == 1189 and len(lines) == 31102 and "".join(lines).isascii()
    return [" ".join(verses) for verses in chapters.values()]


def split_chapters(chapters):
    """Training chapters, held-out chapters, and those of the latter that make eval.txt and calibration.txt."""
    train = [c for i, c in enumerate(chapters) if (i + 1) % HELD_OUT_EVERY]
    held_out = chapters[HELD_OUT_EVERY - 1::HELD_OUT_EVERY]
    return train, held_out, held_out[EVAL_EVERY - 1::EVAL_EVERY], held_out[::EVAL_EVERY]


# ---------------------------------------------------------------- tokenizer

def runs(word):
    """Cut where letters meet punctuation: "▁(the" -> "▁(", "the"; pieces stay within a run."""
    parts = [word[:2]]
    for char in word[2:]:
        if char.isalpha() == parts[-1][-1].isalpha():
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def train_bpe(texts):
    """[(piece, score, ggml token type)]; the index is the id.

    Repeatedly makes a piece of the most frequent adjacent pair. At encoding the best
    score merges first, so the score is minus the merge rank.
    """
    words = collections.Counter(SPACE + word for text in texts for word in text.split(" "))
    counts, chars = collections.Counter(), collections.Counter()
    for word, count in words.items():
        counts.update({run: count * n for run, n in collections.Counter(runs(word)).items()})
        chars.update({char: count * n for char, n in collections.Counter(word).items()})
    items = [(list(run), count) for run, count in counts.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)    # frequency, items with it

    def add(i, sign):
        symbols, count = items[i]
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += sign * count
            where[pair].add(i)

    for i in range(len(items)):
        add(i, +1)
    specials = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    specials += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    merged = []
    while len(specials) + len(merged) + len(chars) < VOCAB:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))           # deterministic on ties
        merged.append("".join(best))
        for i in where[best].copy():
            add(i, -1)
            symbols, new, at = items[i][0], [], 0
            while at < len(symbols):
                width = 2 if tuple(symbols[at:at + 2]) == best else 1
                new.append("".join(symbols[at:at + width]))
                at += width
            items[i] = (new, items[i][1])
            add(i, +1)
    assert len(set(merged)) == len(merged)
    normal = merged + [char for char, _ in sorted(chars.items(), key=lambda c: (-c[1], c[0]))]
    return specials + [(piece, -float(rank), 1) for rank, piece in enumerate(normal)]


class Tokenizer:
    """The SentencePiece BPE encoder; words are cached, since no piece has an inner blank."""

    def __init__(self, pieces):
        self.ids = {p: i for i, (p, _, kind) in enumerate(pieces) if kind == 1}
        self.scores = [score for _, score, _ in pieces]
        self.cache = {}

    def encode(self, text):
        """Ids without BOS; one blank is put in front of the text."""
        return [token for word in text.split(" ") for token in self.encode_word(SPACE + word)]

    def encode_word(self, word):
        if word not in self.cache:
            symbols = list(word)
            while True:
                joined = ["".join(pair) for pair in zip(symbols, symbols[1:])]
                found = [(self.scores[self.ids[s]], -i) for i, s in enumerate(joined) if s in self.ids]
                if not found:
                    break
                at = -max(found)[1]                                # leftmost on ties
                symbols[at:at + 2] = [joined[at]]
            self.cache[word] = ids = []
            for s in symbols:
                ids += [self.ids[s]] if s in self.ids else [FIRST_BYTE + byte for byte in s.encode()]
        return self.cache[word]


# ---------------------------------------------------------------- model

class Linear(torch.nn.Linear):
    """Without bias; float32 weights, products in bfloat16 when `fast` is set."""
    fast = False

    def __init__(self, inputs, outputs, std):
        super().__init__(inputs, outputs, bias=False)
        torch.nn.init.normal_(self.weight, std=std)

    def forward(self, x):
        if self.fast:
            return F.linear(x.bfloat16(), self.weight.bfloat16()).float()
        return F.linear(x, self.weight)


class Dropout(torch.nn.Module):
    """Drops with probability p (in 256ths); one numpy byte a value, cheaper than torch's."""
    rng = None                         # set before each step, so that a resumed run is the same

    def __init__(self, p):
        super().__init__()
        self.limit = round(256 * p)

    def forward(self, x):
        if not self.training or self.limit == 0:
            return x
        noise = torch.frombuffer(bytearray(self.rng.bytes(x.numel())), dtype=torch.uint8)
        keep = (noise >= self.limit).float() * (256 / (256 - self.limit))
        return x * keep.view(x.shape)


class RMSNorm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * self.weight


def rope_table():
    """exp(i * position * base^(-2j/d)); pair j is (2j, 2j+1), seen as one complex number."""
    frequency = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)
    angle = torch.outer(torch.arange(CONTEXT).double(), frequency)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)


def rotate(x, table):
    """x: [batch, time, heads, HEAD_DIM]."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], HEAD_DIM // 2, 2))
    return torch.view_as_real(pairs * table[:x.shape[1], None]).flatten(-2)


class Block(torch.nn.Module):
    CHUNK = 128                        # queries at a time: skips most of the masked half

    def __init__(self, dropout):
        super().__init__()
        std, out_std = 0.02, 0.02 / sqrt(2 * LAYERS)
        self.attn_norm, self.ffn_norm = RMSNorm(), RMSNorm()
        self.attn_q = Linear(HIDDEN, HEADS * HEAD_DIM, std)
        self.attn_k = Linear(HIDDEN, KV_HEADS * HEAD_DIM, std)
        self.attn_v = Linear(HIDDEN, KV_HEADS * HEAD_DIM, std)
        self.attn_output = Linear(HEADS * HEAD_DIM, HIDDEN, out_std)
        self.ffn_gate = Linear(HIDDEN, INTER, std)
        self.ffn_up = Linear(HIDDEN, INTER, std)
        self.ffn_down = Linear(INTER, HIDDEN, out_std)
        self.dropout = Dropout(dropout)

    def attention(self, x, table):
        batch, time_ = x.shape[:2]
        q = rotate(self.attn_q(x).view(batch, time_, HEADS, HEAD_DIM), table) / sqrt(HEAD_DIM)
        k = rotate(self.attn_k(x).view(batch, time_, KV_HEADS, HEAD_DIM), table)
        v = self.attn_v(x).view(batch, time_, KV_HEADS, HEAD_DIM)
        kind = torch.bfloat16 if Linear.fast else torch.float32
        # [batch, kv head, queries of the group, time, dim]: query head h reads kv head h // 2
        q = q.view(batch, time_, KV_HEADS, -1, HEAD_DIM).permute(0, 2, 3, 1, 4).to(kind)
        k, v = k.permute(0, 2, 3, 1).to(kind), v.transpose(1, 2).to(kind)
        outputs = []
        for begin in range(0, time_, self.CHUNK):
            end = min(begin + self.CHUNK, time_)
            part = q[:, :, :, begin:end]
            shape = part.shape
            scores = part.reshape(batch, KV_HEADS, -1, HEAD_DIM) @ k[..., :end]
            mask = torch.full((end - begin, end), -1e9, dtype=kind).triu(begin + 1)
            scores = scores.view(*shape[:-1], end) + mask
            weights = scores.softmax(-1).view(batch, KV_HEADS, -1, end)
            outputs.append((weights @ v[:, :, :end]).view(shape))
        y = torch.cat(outputs, 3).permute(0, 3, 1, 2, 4).reshape(batch, time_, -1)
        return self.attn_output(y)

    def forward(self, x, table):
        x = x + self.dropout(self.attention(self.attn_norm(x), table))
        h = self.ffn_norm(x)
        return x + self.dropout(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)))


class Llama(torch.nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.token_embd = Linear(HIDDEN, VOCAB, 0.02)              # table and classifier
        self.blk = torch.nn.ModuleList(Block(dropout) for _ in range(LAYERS))
        self.output_norm = RMSNorm()
        self.dropout = Dropout(dropout)
        self.table = rope_table()

    def forward(self, ids):
        x = self.dropout(F.embedding(ids, self.token_embd.weight))
        for block in self.blk:
            x = block(x, self.table)
        return self.token_embd(self.output_norm(x))


# ---------------------------------------------------------------- training

def pack(documents, starts, rng):
    """One epoch of rows [CONTEXT + 1], each piece beginning with BOS, in random order.

    The first row of a chapter is BOS and its first 512 tokens, as in the evaluation.
    What follows is cut at a verse-like start (a word with a capital) up to 128 tokens
    before that point, so that cuts differ between epochs. Pieces shorter than a row
    (chapter ends, short chapters) share rows. Unused places are -1.
    """
    rows, short = [], []
    for document, start in zip(documents, starts):
        at = 0
        while True:
            piece = [BOS] + document[at:at + CONTEXT]
            if len(piece) <= CONTEXT:
                short.append(piece)
                break
            rows.append(piece)
            low = at + CONTEXT - int(rng.integers(0, 128))
            at = next((s for s in start if low <= s), low)
            at = min(at, low + 64)
    row = []
    for i in rng.permutation(len(short)):
        row += short[i]
        if len(row) > CONTEXT:
            rows.append(row[:CONTEXT + 1])
            row = []
    table = np.full((len(rows), CONTEXT + 1), -1, dtype=np.int64)
    for i, j in enumerate(rng.permutation(len(rows))):
        table[i, :len(rows[j])] = rows[j]
    return table


def batches(documents, starts, seed, size):
    """Endless batches; rows left over at the end of an epoch go to the next one."""
    rest, epoch = np.empty((0, CONTEXT + 1), dtype=np.int64), 0
    while True:
        rest = np.concatenate([rest, pack(documents, starts, np.random.default_rng([seed, epoch]))])
        epoch += 1
        while len(rest) >= size:
            yield epoch, torch.from_numpy(rest[:size])
            rest = rest[size:]


def loss_of(model, rows):
    logits = model(rows[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.reshape(-1, VOCAB), rows[:, 1:].reshape(-1), ignore_index=-1)


@torch.no_grad()
def chapter_loss(model, documents):
    """Mean loss of the tokens after BOS, each chapter alone and truncated to the context."""
    model.eval()
    rows = torch.full((len(documents), CONTEXT), -1, dtype=torch.long)
    for row, document in zip(rows, documents):
        ids = ([BOS] + document)[:CONTEXT]
        row[:len(ids)] = torch.tensor(ids)
    tokens = [int((part[:, 1:] >= 0).sum()) for part in rows.split(8)]
    losses = [float(loss_of(model, part)) for part in rows.split(8)]
    model.train()
    return float(np.average(losses, weights=tokens))


def learning_rate(step, args):
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    done = min(1.0, (step - args.warmup) / max(1, args.steps - args.warmup))
    return args.lr * (0.02 + 0.98 * 0.5 * (1 + cos(pi * done)))


def train(args, model, documents, held_out, starts, path):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": args.weight_decay},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.95), foreach=True)
    first, elapsed = 0, 0.0
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, elapsed = state["step"], state["elapsed"]
        print(f"resumed at step {first}", flush=True)

    def save(step):
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                 "step": step, "elapsed": elapsed}
        torch.save(state, path + ".new")
        os.replace(path + ".new", path)

    model.train()
    seen, source = [], batches(documents, starts, args.seed, args.batch)
    saved = time.time()
    began = saved - elapsed
    for step, (epoch, rows) in enumerate(source):
        if step < first:                                           # replayed after a resume
            continue
        if step == args.steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        Dropout.rng = np.random.Generator(np.random.SFC64([args.seed, 1 << 30, step]))
        loss = loss_of(model, rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        seen.append(float(loss))
        elapsed = time.time() - began
        done = step + 1
        if done % args.report == 0 or done == args.steps:
            print(f"step {done}/{args.steps} epoch {epoch} {elapsed:.0f} s  running {np.mean(seen):.4f}"
                  f"  train {chapter_loss(model, documents[::HELD_OUT_EVERY]):.4f}"
                  f"  held-out {chapter_loss(model, held_out):.4f}", flush=True)
            seen = []
        if time.time() - saved > args.save_seconds or done == args.steps:
            save(done)
            saved = time.time()


# ---------------------------------------------------------------- export

def gguf_value(value):
    """Type number and bytes of one metadata value."""
    for kind, form, python in ((7, "<?", bool), (4, "<I", int), (6, "<f", float)):
        if isinstance(value, python):
            return kind, struct.pack(form, value)
    if isinstance(value, str):
        data = value.encode()
        return 8, struct.pack("<Q", len(data)) + data
    if isinstance(value, np.ndarray):                              # int32: token types
        return 9, struct.pack("<IQ", 5, len(value)) + value.astype("<i4").tobytes()
    kinds, items = zip(*map(gguf_value, value))
    return 9, struct.pack("<IQ", kinds[0], len(items)) + b"".join(items)


def write_gguf(path, metadata, tensors, alignment=32):
    """GGUF version 3: header, metadata, tensor table, then the aligned tensor data."""
    header = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        kind, data = gguf_value(value)
        header += [gguf_value(key)[1], struct.pack("<I", kind), data]
    body, offset = [], 0
    for name, array in tensors.items():
        kind = {np.dtype("float32"): 0, np.dtype("float16"): 1}[array.dtype]
        header += [gguf_value(name)[1], struct.pack("<I", array.ndim),
                   *(struct.pack("<Q", n) for n in reversed(array.shape)),    # ne[0] is innermost
                   struct.pack("<IQ", kind, offset)]
        data = array.tobytes()
        body.append(data + b"\0" * (-len(data) % alignment))
        offset += len(body[-1])
    head = b"".join(header)
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % alignment) + b"".join(body))


def export(args, model, pieces, eval_chapters, calibration_chapters):
    tensors = collections.OrderedDict()
    for name, value in model.state_dict().items():
        array = value.numpy()
        tensors[name] = array.astype(np.float32 if array.ndim == 1 else np.float16)
    tokens, scores, kinds = zip(*pieces)
    general = {
        "architecture": "llama", "name": "systole-kjv-3m", "license": "Apache-2.0",
        "description": "Small language model trained on the King James Version (1611), the public-domain "
                       "text of the Debian package bible-kjv-text; made for hardware simulation, "
                       "not for use as a text source.",
        "file_type": 1, "alignment": 32}
    llama = {
        "block_count": LAYERS, "context_length": CONTEXT, "embedding_length": HIDDEN,
        "feed_forward_length": INTER, "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS, "attention.layer_norm_rms_epsilon": EPS,
        "rope.dimension_count": HEAD_DIM, "rope.freq_base": ROPE_BASE, "vocab_size": VOCAB}
    tokenizer = {
        "model": "llama", "tokens": list(tokens), "scores": list(scores),
        "token_type": np.array(kinds), "bos_token_id": BOS, "eos_token_id": EOS,
        "unknown_token_id": UNK, "add_space_prefix": True, "add_bos_token": True}
    metadata = {f"{prefix}.{key}": value
                for prefix, part in (("general", general), ("llama", llama), ("tokenizer.ggml", tokenizer))
                for key, value in part.items()}
    os.makedirs(args.out, exist_ok=True)
    write_gguf(os.path.join(args.out, "systole-kjv-3m.gguf"), metadata, tensors)
    write_text(args, "eval.txt", eval_chapters)
    write_text(args, "calibration.txt", calibration_chapters)


def write_text(args, name, chapters):
    with open(os.path.join(args.out, name), "w") as file:
        file.write(f"\n{SEPARATOR}\n".join(chapters) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=".", help="folder for the model and eval.txt (default: here)")
    parser.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "systole-kjv"),
                        help="folder of the checkpoint, outside the repository (%(default)s)")
    parser.add_argument("--steps", type=int, default=7200, help="optimizer steps (%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="rows of 512 tokens a step (%(default)s)")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate (%(default)s)")
    parser.add_argument("--warmup", type=int, default=200, help="warm-up steps (%(default)s)")
    parser.add_argument("--dropout", type=float, default=0.1, help="residual dropout (%(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.1, help="of the matrices (%(default)s)")
    parser.add_argument("--clip", type=float, default=1.0, help="gradient norm limit (%(default)s)")
    parser.add_argument("--seed", type=int, default=1611, help="weights, dropout, data order (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    parser.add_argument("--report", type=int, default=240, help="steps between losses (%(default)s)")
    parser.add_argument("--save-seconds", type=float, default=180, help="between checkpoints (%(default)s)")
    parser.add_argument("--export-only", action="store_true", help="export the checkpoint, do not train")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    chapters, held_out_text, eval_text, calibration_text = split_chapters(read_chapters())
    pieces = train_bpe(chapters)
    tokenizer = Tokenizer(pieces)
    documents, held_out = ([tokenizer.encode(text) for text in part] for part in (chapters, held_out_text))
    capitals = {i for i, (piece, _, _) in enumerate(pieces) if piece[:1] == SPACE and piece[1:2].isupper()}
    starts = [[i for i, token in enumerate(document) if token in capitals] for document in documents]

    model = Llama(args.dropout)
    os.makedirs(args.scratch, exist_ok=True)
    path = os.path.join(args.scratch, "checkpoint.pt")
    if args.export_only:
        model.load_state_dict(torch.load(path)["model"])
    else:
        print(f"{len(documents)} + {len(held_out)} chapters, {sum(map(len, documents))} training tokens, "
              f"{sum(map(len, chapters)) / sum(map(len, documents)):.2f} characters a token, "
              f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
        Linear.fast = args.bf16
        train(args, model, documents, held_out, starts, path)
    export(args, model, pieces, eval_text, calibration_text)


if __name__ == "__main__":
    main()
