"""Operands for the elements: Gaussian ones, and those of the embedded model. Seeded: a calibration repeats."""
import json
import math
import operator
import random
import struct
from pathlib import Path

EMBEDDED = Path(__file__).resolve().parents[3] / "workloads" / "embedded"


def clamp(x, low, high):
    return max(low, min(high, x))


def fp16(x):
    """The bits of x in binary16, rounded to nearest even; what is too large becomes the largest."""
    return struct.unpack("<H", struct.pack("<e", clamp(x, -65504.0, 65504.0)))[0]


def bf16(x):
    """The bits of x in bfloat16, rounded to nearest even."""
    bits, = struct.unpack("<I", struct.pack("<f", x))
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def minifloat(x, exponent_bits, mantissa_bits, bias, largest):
    """The code of x in a float without infinities, rounded to nearest even, what is too large becomes the largest."""
    m = clamp(abs(x), 0.0, largest)
    e = max(math.frexp(m)[1] - 1, 1 - bias) if m else 1 - bias
    steps = round(m / 2.0 ** (e - mantissa_bits))  # with the hidden one: a carry moves into the exponent
    code = steps if e == 1 - bias else ((e + bias - 1) << mantissa_bits) + steps
    return int(x < 0) << exponent_bits + mantissa_bits | code


def scaled(values, largest):
    top = max(map(abs, values)) / largest or 1.0
    return [v / top for v in values]


def e4m3(values):
    """Codes of values scaled so that the largest is the format's."""
    return [minifloat(v, 4, 3, 7, 448.0) for v in scaled(values, 448.0)]


def e2m1(values):
    return [minifloat(v, 2, 1, 1, 6.0) for v in scaled(values, 6.0)]


def exponent_integer_e4m3(code):
    """<e, i> of an E4M3 code in units of its least subnormal."""
    e, m = code >> 3 & 15, code & 7
    i = m + 8 if e else m
    return max(e, 1) - 1, -i if code >> 7 else i


def integer_e2m1(code):
    """An E2M1 code in halves."""
    m = (0, 1, 2, 3, 4, 6, 8, 12)[code & 7]
    return -m if code >> 3 else m


def aligned(values, bits):
    """Mantissas of `bits` bits of fp16 values, aligned to the largest exponent, truncated."""
    halves = [struct.unpack("<e", struct.pack("<e", v))[0] for v in values]
    top = max(math.frexp(h)[1] for h in halves)
    return [math.trunc(h * 2.0 ** (bits - top)) for h in halves]


def outlier_codes(values, rng=None):
    """8-bit codes of which few leave 4 bits: three standard deviations on 7; with `rng`, 2 % outliers are put in."""
    mean = math.sqrt(sum(v * v for v in values) / len(values)) or 1.0
    codes = [clamp(round(7 * v / (3 * mean)), -127, 127) for v in values]
    if rng is None:
        return codes
    return [rng.choice((-1, 1)) * rng.randrange(12, 97) if rng.random() < 0.02 else clamp(c, -7, 7) for c in codes]


# --- the embedded model: weights and what reaches its linear layers --------------------------------------------

def read_gguf(path):
    """Metadata and tensors (lists of floats with their shape) of a GGUF file with F16 and F32 tensors."""
    data = Path(path).read_bytes()
    at = 0

    def take(form):
        nonlocal at
        value, = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def string():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length:at].decode("utf-8", "replace")

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [value(inner) for _ in range(count)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    assert data[:4] == b"GGUF", path
    at = 8
    tensors, count = take("Q"), take("Q")
    meta = {}
    for _ in range(count):
        key = string()
        meta[key] = value(take("I"))
    infos = []
    for _ in range(tensors):
        name = string()
        shape = [take("Q") for _ in range(take("I"))]
        infos.append((name, shape, take("I"), take("Q")))
    start = -(-at // meta.get("general.alignment", 32)) * meta.get("general.alignment", 32)
    result = {}
    for name, shape, kind, offset in infos:
        form, size = {0: ("f", 4), 1: ("e", 2)}[kind]
        n = math.prod(shape)
        flat = struct.unpack_from(f"<{n}{form}", data, start + offset)
        width = shape[0]
        result[name] = [list(flat[r:r + width]) for r in range(0, n, width)]
    return meta, result


def model_trace(tokens=24):
    """Rows of weights and of the activations that they meet: [(name, weight rows, activation rows)].

    A float forward pass of the embedded model over the prompt of golden.json and what the model says next.
    """
    meta, w = read_gguf(EMBEDDED / "systole-kjv-3m.gguf")
    golden = json.loads((EMBEDDED / "golden.json").read_text())
    ids = (golden["prompt"]["ids"] + golden["greedy"]["ids"])[:tokens]
    get = lambda key: meta["llama." + key]
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    dim, eps, base = get("rope.dimension_count"), get("attention.layer_norm_rms_epsilon"), get("rope.freq_base")

    def dot(a, b):
        return sum(map(operator.mul, a, b))

    def linear(rows, matrix):
        return [[dot(x, row) for row in matrix] for x in rows]

    def norm(rows, weight):
        out = []
        for x in rows:
            r = 1 / math.sqrt(dot(x, x) / len(x) + eps)
            out.append([v * r * g for v, g in zip(x, weight[0])])
        return out

    def rope(rows):
        for t, x in enumerate(rows):
            for i in range(0, len(x), 2):
                angle = t * base ** (-(i % dim) / dim)
                c, s = math.cos(angle), math.sin(angle)
                x[i], x[i + 1] = x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c
        return rows

    trace = []
    x = [list(w["token_embd.weight"][i]) for i in ids]
    for layer in range(get("block_count")):
        p = lambda n: w[f"blk.{layer}.{n}.weight"]
        h = norm(x, p("attn_norm"))
        trace.append((f"{layer}.attn_q", p("attn_q"), h))
        q, k, v = rope(linear(h, p("attn_q"))), rope(linear(h, p("attn_k"))), linear(h, p("attn_v"))
        mixed = []
        for t in range(len(ids)):
            row = []
            for head in range(heads):
                g = head * kv_heads // heads
                mine = q[t][head * dim:(head + 1) * dim]
                scores = [dot(mine, k[u][g * dim:(g + 1) * dim]) / math.sqrt(dim) for u in range(t + 1)]
                top = max(scores)
                share = [math.exp(s - top) for s in scores]
                total = sum(share)
                row += [sum(share[u] * v[u][g * dim + d] for u in range(t + 1)) / total for d in range(dim)]
            mixed.append(row)
        trace.append((f"{layer}.attn_output", p("attn_output"), mixed))
        x = [[a + b for a, b in zip(r, s)] for r, s in zip(x, linear(mixed, p("attn_output")))]
        h = norm(x, p("ffn_norm"))
        trace.append((f"{layer}.ffn_gate", p("ffn_gate"), h))
        gate, up = linear(h, p("ffn_gate")), linear(h, p("ffn_up"))
        inner = [[a / (1 + math.exp(-a)) * b for a, b in zip(r, s)] for r, s in zip(gate, up)]
        trace.append((f"{layer}.ffn_down", p("ffn_down"), inner))
        x = [[a + b for a, b in zip(r, s)] for r, s in zip(x, linear(inner, p("ffn_down")))]
    return trace


# --- sums ------------------------------------------------------------------------------------------------------

class Sum:
    """One sum along K: real weights and activations, and the scales that quantise them."""

    def __init__(self, w, a, w_scale, a_scale):
        self.w, self.a, self.w_scale, self.a_scale = w, a, w_scale, a_scale

    def codes(self, which, bits):
        """Symmetric integers."""
        top = 2 ** (bits - 1) - 1
        values, scale = (self.w, self.w_scale(bits)) if which == "w" else (self.a, self.a_scale(bits))
        return [clamp(round(v / scale), -top, top) for v in values]


class Sums:
    """An endless row of sums, `length` long each.

    Gaussian: weights N(0, 0.05), activations N(0, 1), a standard deviation of 2.5 codes at 4 bits and 34 at 8 (what
    absmax leaves of some hundred and some thousand values), 8700 at 16. Model: rows of the embedded model; 4-bit scales
    by the absmax of the group, others by that of the whole row or token.
    """
    SIGMA = {4: 2.5, 8: 34.0, 16: 8700.0}

    def __init__(self, trace=None, seed=1, length=128):
        self.rng, self.trace, self.length = random.Random(seed), trace, length

    def __next__(self):
        if self.trace is None:
            gauss = lambda sigma: [self.rng.gauss(0, sigma) for _ in range(self.length)]
            return Sum(gauss(0.05), gauss(1), lambda b: 0.05 / self.SIGMA[b], lambda b: 1 / self.SIGMA[b])
        _, weights, activations = self.rng.choice(self.trace)
        w, a = self.rng.choice(weights), self.rng.choice(activations)
        start = self.rng.randrange(0, len(w) - self.length + 1)
        part = slice(start, start + self.length)

        def scale(row):
            return lambda bits: max(map(abs, row[part] if bits == 4 else row)) / (2 ** (bits - 1) - 1) or 1.0
        return Sum(w[part], a[part], scale(w), scale(a))


# --- codes with exponents --------------------------------------------------------------------------------------

_FLINT = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (0, 3), 4: (1, 2), 6: (1, 3), 8: (3, 1), 16: (4, 1)}
_ABFLOAT = {12: (2, 3), 16: (3, 2), 24: (3, 3), 32: (4, 2), 48: (4, 3), 64: (5, 2), 96: (5, 3)}


def _nearest(grid, x):
    magnitude = min(grid, key=lambda g: abs(g - abs(x)))
    e, i = grid[magnitude]
    return e, -i if x < 0 else i


def flint(values):
    """<e, i> of signed 4-bit flint, the largest value on 16."""
    scale = max(map(abs, values)) / 16 or 1.0
    return [_nearest(_FLINT, v / scale) for v in values]


def flint_codes(values):
    """The same as codes: sign and three bits."""
    code = {(0, 0): 0, (0, 1): 1, (0, 2): 2, (0, 3): 3, (1, 2): 6, (1, 3): 7, (3, 1): 5, (4, 1): 4}
    return [code[e, abs(i)] | 8 * (i < 0) for e, i in flint(values)]


def ovp_bytes(values, rng=None):
    """The pairs of ovp() as bytes: two int4, or an outlier beside the identifier 1000."""
    operands, result = ovp(values, rng), []
    for k in range(0, len(operands), 2):
        pair = [i & 15 for _, i in operands[k:k + 2]]
        for s, (e, i) in enumerate(operands[k:k + 2]):
            if e > 0:
                pair[s], pair[1 - s] = 8 * (i < 0) | (e - 2) << 1 | abs(i) & 1, 8
        result.append(pair[0] | pair[1] << 4)
    return result


def ovp(values, rng=None):
    """<e, i> of outlier-victim pairs on int4, three standard deviations on 7; with `rng`, 2 % outliers are put in."""
    mean = math.sqrt(sum(v * v for v in values) / len(values)) or 1.0
    scale = 3 * mean / 7
    result = []
    for k in range(0, len(values), 2):
        pair = [values[k] / scale, values[k + 1] / scale]
        if rng is not None:
            pair = [clamp(v, -7, 7) for v in pair]
            if rng.random() < 0.04:
                pair[rng.randrange(2)] = rng.choice(list(_ABFLOAT)) * rng.choice((-1, 1))
        large = max((0, 1), key=lambda s: abs(pair[s]))
        if abs(pair[large]) > 9.5:
            codes = [(0, 0), (0, 0)]
            codes[large] = _nearest(_ABFLOAT, pair[large])
        else:
            codes = [(0, clamp(round(v), -7, 7)) for v in pair]
        result += codes
    return result
