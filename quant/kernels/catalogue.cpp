// The table of kernels. A new kernel is a row here; tests look each name up in its header.
#include "quant/kernels/catalogue.hpp"

#include <array>

namespace systole::quant {

namespace {

// Columns: name, definition, accumulator, order, dequantised, overflow, source, differs, header.
// clang-format off
constexpr auto kKernels = std::to_array<KernelInfo>({
    // --- integer products ---
    {"integer_dot", "sum of a * w of int8 codes", "int32", "any: exact", "not here", "refused above 131071 elements", "-", "-", "quant/kernels/gemm.hpp"},
    {"gemm_dequantise_after", "integer sum of each weight group, then scale and zero: MixPE's order", "int32 in a group, fp32 across", "k in a group: exact; groups ascending, fma", "after each group; the row's scale last", "groups that could overflow are refused", "MixPE (arXiv 2411.16158)", "the paper's rounding is not published: ours", "quant/kernels/gemm.hpp"},
    {"gemm_grid", "the same on element integers times a power of two", "int32 in a group, fp32 across", "groups ascending, fma", "after each group", "groups that could overflow are refused", "-", "-", "quant/kernels/packed_gemm.hpp"},
    {"grid_gemm", "any two formats whose elements are integers times a power of two, from their codes", "int32 (any width to 64) in a group, fp32 across", "k ascending, groups ascending, fma", "after each group, by scales of both sides", "wrap, saturate or error", "accelerators.md 3.1, 7.4", "-", "quant/kernels/grid_gemm.hpp"},
    {"gemm_shift_add", "each product as gated shifts of the activation (W4A8), sums and epilogue of gemm_dequantise_after", "int32 in a group, fp32 across", "as gemm_dequantise_after: the same bits", "after each group", "groups that could overflow are refused", "MixPE (arXiv 2411.16158); accelerators.md 3.1", "adder order in a product is not published; integers make it immaterial", "quant/kernels/shift_add.hpp"},
    {"shift_add_dot", "sum of b_k (a << k) over the bits of each code; top bit negative when signed", "int32", "index ascending", "not here", "wrap, saturate or error", "MixPE (arXiv 2411.16158); accelerators.md 3.1", "-", "quant/kernels/shift_add.hpp"},
    {"shift_add_dot_fp16", "W4A16: 11-bit significand times code by shift and add, added into a float", "fp32", "index ascending, one rounding each", "after, by the caller", "infinity, as IEEE", "MixPE (arXiv 2411.16158); accelerators.md 3.1", "width of the released accumulator unknown: fp32 is ours", "quant/kernels/shift_add.hpp"},
    {"bit_plane_gemm", "AND and population count of bit planes, sum of +-2^(i+j) counts", "int32", "a planes, then w planes, ascending", "after the sum: weight scale, then row scale", "wrap, saturate or error", "ABQ-LLM (arXiv 2408.08554)", "planes are stored least significant first in 64-bit words, the engine's most significant first in 32; values agree", "quant/kernels/bit_plane_gemm.hpp"},
    {"bit_plane_dot", "one output of bit_plane_gemm before its scales", "int32", "a planes, then w planes, ascending", "not here", "wrap, saturate or error", "ABQ-LLM (arXiv 2408.08554)", "-", "quant/kernels/bit_plane_gemm.hpp"},
    {"gemm_lut", "mirrored half tables of four activations, weights recoded to +-1; sums of gemm_dequantise_after", "int32 in a group, fp32 across", "as gemm_dequantise_after: the same bits", "after each group", "groups that could overflow are refused", "T-MAC (EuroSys 2025), LUT Tensor Core (ISCA 2025)", "-", "quant/kernels/lut_gemm.hpp"},
    {"lut_dot", "sum over planes of p_b times looked-up signed sums, plus (sum p_b)(sum a), halved", "int64", "any: exact", "not here", "cannot", "T-MAC (EuroSys 2025), LUT Tensor Core (ISCA 2025)", "-", "quant/kernels/lut_gemm.hpp"},
    {"lut_dot_int8_tables", "tables of float activations rounded to int8 with one scale a run", "int32 in a run, fp32 across", "runs ascending, fma", "table scale after each run; weight scales by the caller", "cannot: runs of at most 65536", "T-MAC (EuroSys 2025), lut_ctor.cc", "the released ARM build computes tables in fp16, the AVX2 build sums in another order; the lossy averaging adder is not modelled", "quant/kernels/lut_gemm.hpp"},
    {"ovp_gemm", "outlier-victim pairs, flint and power of two as exponent-integer products i_a i_w << (e_a + e_w)", "int32 in a group, fp32 across", "k ascending, groups ascending, fma", "after each group", "wrap, saturate or error", "OliVe (ISCA 2023), ANT (MICRO 2022); accelerators.md 1.7, 5", "outlier-outlier pairs and 8-bit outliers by contract paper or code", "quant/kernels/ovp_gemm.hpp"},
    {"tender_gemm", "channels classed by powers of two of their range; the accumulator doubles between classes", "int32", "classes from the largest scale, index ascending inside", "after the sum; biases and weight scale last", "wrap, saturate or error, also at the doubling", "Tender (ISCA 2024); accelerators.md 6.4", "known from notes only; where biases are added is ours", "quant/kernels/tender_gemm.hpp"},
    {"tender_dot", "A = (A << 1) + P_g: the sum of 2^(G-g) P_g", "int32", "classes from the largest scale, index ascending inside", "not here", "wrap, saturate or error, also at the doubling", "Tender (ISCA 2024); accelerators.md 6.4", "-", "quant/kernels/tender_gemm.hpp"},
    {"log_gemm", "power-of-two weights with a small table of fractions: (a T[r]) << f", "exact integer, up to 127 bits", "any: exact", "after the sum, one rounding; then two scales", "exponents that span more than 63 are refused", "LRQ-DiT (arXiv 2508.03485)", "no released code; table of 16 fraction bits is ours", "quant/kernels/twin_log_gemm.hpp"},
    {"conv2d_int8", "convolution as a product over gathered patches", "int32", "(ky, kx, channel) nhwc, (channel, ky, kx) nchw, ascending", "not here", "wrap, saturate or error", "-", "-", "quant/kernels/conv2d.hpp"},
    {"fixed_dot", "Q(i.f) products rounded to the accumulator's fraction, one saturating addition each", "fixed point of any width to 32 bits", "index ascending", "not here", "wrap, saturate or error", "U-Net fixed point (arXiv 1908.01073)", "width and rounding of the accumulator are parameters", "quant/kernels/fixed_point.hpp"},
    // --- floating-point activations, integer weights ---
    {"bitmod_dot", "signed power-of-two terms times FP16, four lanes a cycle, 3 guard bits, bit-serial dequantisation", "integer adder tree, fp32 across cycles", "elements by four, terms ascending within; groups ascending", "after each group by an 8-bit scale; the channel's scale last", "infinity, as IEEE", "BitMoD (HPCA 2025, arXiv 2411.11745)", "truncation of aligned magnitudes and the fp32 accumulator are not published: ours", "quant/kernels/bitmod_dot.hpp"},
    {"bitmod_step", "one cycle of that PE before its accumulator", "integer adder tree", "any: exact", "not here", "cannot", "BitMoD (HPCA 2025, arXiv 2411.11745)", "as bitmod_dot", "quant/kernels/bitmod_dot.hpp"},
    {"figna_gemm", "mantissas aligned to a group's largest exponent, integer sums, one conversion a group", "exact integer in a group, fp32 across", "groups ascending, fma", "after each group", "cannot in a group; infinity across", "FIGNA (HPCA 2024), through Anda (HPCA 2025)", "paper text not at hand: truncate or round is a parameter", "quant/kernels/figna_dot.hpp"},
    {"figna_dot", "one group of figna_gemm: exact sum of aligned mantissas times codes, rounded once", "exact integer", "any: exact", "not here", "cannot", "FIGNA (HPCA 2024)", "as figna_gemm", "quant/kernels/figna_dot.hpp"},
    {"ifpu_dot", "the same sum by weight bit planes", "exact integer", "any: exact", "not here", "cannot", "iFPU (ICLR 2023), through Anda (HPCA 2025)", "mantissa width is a parameter", "quant/kernels/figna_dot.hpp"},
    {"fpma_dot", "multiplication as the addition of bit patterns (Mitchell), sum in fp32", "fp32", "index ascending", "before: weights written as fp16", "infinity", "FPMA, AxCore (MICRO 2025); accelerators.md 6.5", "subnormals and the ends of the range are ours; compensation is a parameter", "quant/kernels/fixed_point.hpp"},
    {"gemm_dequantise_before", "weights decoded, then gemm_fp32: what a machine without integer groups does", "fp32", "k ascending, fma", "before the product, one rounding an element", "infinity, as IEEE", "-", "-", "quant/kernels/gemm.hpp"},
    {"gemv_dequantise", "decode on the fly, fp32 or fp16 accumulator", "fp32 or fp16", "k ascending, fma", "before each product", "infinity, as IEEE", "KIVI (arXiv 2402.02750), AWQ (arXiv 2306.00978)", "released kernels sum across threads in other orders", "quant/kernels/gemv_dequantise.hpp"},
    {"gemv_folded", "contract folded: the scale once a group of the sum", "fp32", "k ascending in a group, groups ascending, fma", "after each group", "infinity, as IEEE", "quantization.md A2", "rounds otherwise than the released kernels, which dequantise elements", "quant/kernels/gemv_dequantise.hpp"},
    {"channel_scores", "keys with one scale a channel and token group, decoded by element", "fp32", "channels ascending, fma", "before each product, fma", "infinity, as IEEE", "KIVI (arXiv 2402.02750)", "released kernels sum across threads in other orders", "quant/kernels/gemv_dequantise.hpp"},
    {"channel_scores_folded", "contract folded: scales multiplied into the query once a token group", "fp32", "channels ascending, fma", "in the query; minima as one sum a group", "infinity, as IEEE", "quantization.md A2", "rounds otherwise than channel_scores", "quant/kernels/gemv_dequantise.hpp"},
    {"any_precision_gemv", "bit planes, most significant first, of which a precision reads the leading ones; a table a row and precision", "fp32", "k ascending, fma", "before each product, by look-up", "infinity, as IEEE", "any-precision LLM, PMPD (arXiv 2410.13461)", "the released byte permutation within a warp is a layout only", "quant/kernels/any_precision_gemv.hpp"},
    {"dense_sparse_gemm", "dense product plus the outliers of a CSR matrix", "fp32", "dense k ascending, then entries in index order, fma", "before the product", "infinity, as IEEE", "GOBO (MICRO 2020), KVQuant (arXiv 2401.18079)", "released SpMV adds atomically, in no fixed order", "quant/kernels/dense_sparse_gemm.hpp"},
    // --- floating point ---
    {"gemm_fp32", "fp32 product", "fp32", "k ascending, fma", "no codes", "infinity, as IEEE", "-", "-", "quant/kernels/gemm.hpp"},
    {"gemm_fp16", "fp16 operands, exact products, fp32 sums in chunks", "fp32", "chunks ascending, k ascending inside", "no codes", "infinity, as IEEE", "-", "tensor cores truncate differently; the chunk is the array's reduction length", "quant/kernels/gemm.hpp"},
    {"gemm_units", "plain dot unit: any two of fp16, bf16, FP8, FP6, FP4, fp32 sums in chunks", "fp32", "chunks ascending, k ascending inside", "decoded exactly", "infinity, as IEEE", "accelerators.md 7.1", "-", "quant/kernels/block_scaled_gemm.hpp"},
    {"block_scaled_gemm", "MX, NVFP4, scaled FP8/FP6/FP4: exact inside a block", "exact integer in a block (E5M2: 70 bits), fp32 across", "blocks ascending, fma", "after each block; tensor scales last", "infinity across blocks", "OCP MX 1.0, NVFP4; accelerators.md 7.2-7.4", "the standards leave the order of blocks open: ours", "quant/kernels/block_scaled_gemm.hpp"},
    {"block_dot", "one block before its scales, rounded once", "exact integer, up to 127 bits", "any: exact", "not here", "cannot", "accelerators.md 7.4", "-", "quant/kernels/block_scaled_gemm.hpp"},
    {"conv2d_fp32", "convolution as a product over gathered patches", "fp32", "(ky, kx, channel) nhwc, (channel, ky, kx) nchw, ascending, fma", "no codes", "infinity, as IEEE", "-", "-", "quant/kernels/conv2d.hpp"},
    {"mixed_attention", "decode attention of one head over segments of several formats with sparse outliers", "fp32", "elements, then outliers; tokens ascending through the segments, fma", "before the products", "infinity, as IEEE", "KVQuant, KIVI, ZipCache; quantization.md 2.3", "released kernels split the sum over blocks of tokens", "quant/kernels/mixed_attention.hpp"},
    {"ggml_gemm", "GGUF weight rows times activations quantised to Q8_0, Q8_1 or Q8_K, ggml's scalar order", "int32 in a block, fp32 across", "blocks ascending, no fma; K-quants in 8 lanes", "after each block", "cannot in a block", "ggml-org/ggml, src/ggml-cpu/quants.c", "its vector kernels sum in other orders; the scalar one is the contract", "quant/ggml/dot.hpp"},
    // --- vector operations ---
    {"rms_norm", "x / sqrt(mean of squares + eps) * w", "fp32", "index ascending, no fma", "no codes", "infinity, as IEEE", "-", "-", "quant/kernels/vector.hpp"},
    {"rope", "rotary positions on interleaved pairs", "fp32", "products and sums rounded, no fma", "no codes", "infinity, as IEEE", "RoFormer (arXiv 2104.09864)", "angles in double, cosine and sine rounded once", "quant/kernels/vector.hpp"},
    {"softmax", "exp(x - max) / sum", "fp32", "index ascending", "no codes", "cannot: exponents are at most 0", "-", "exp is our own, see elementary.hpp", "quant/kernels/vector.hpp"},
    {"swiglu", "g / (1 + exp(-g)) * up", "fp32", "one element at a time", "no codes", "infinity, as IEEE", "-", "exp is our own, see elementary.hpp", "quant/kernels/vector.hpp"},
    {"argmax", "index of the largest value, the lowest index wins ties", "none", "index ascending", "no codes", "cannot", "-", "-", "quant/kernels/vector.hpp"},
    // --- primitives (quantization.md 2.3) ---
    {"reduce", "minimum, maximum, absmax, mean, mean magnitude, root mean square of a box", "fp32", "index ascending, no fma", "no codes", "infinity, as IEEE", "quantization.md 2.3, primitive 1", "-", "quant/primitives/select.hpp"},
    {"nearest_entry", "index of the nearest table entry, the lowest wins ties", "none", "index ascending", "no codes", "cannot", "KVQuant (arXiv 2401.18079)", "-", "quant/primitives/codebook.hpp"},
    {"fwht", "Walsh-Hadamard transform of blocks, one multiplication by 1/sqrt(n) at the end", "fp32", "stages of stride 1, 2, 4, ...", "no codes", "infinity, as IEEE", "quantization.md 12, trap 15", "libraries promise no order: ours", "quant/primitives/transform.hpp"},
    {"rotate", "dense orthogonal matrix times a vector", "fp32", "index ascending, fma", "no codes", "infinity, as IEEE", "-", "-", "quant/primitives/transform.hpp"},
    {"permute", "gather by an order of the channels", "none", "none", "no codes", "cannot", "RotateKV (arXiv 2501.16383)", "-", "quant/primitives/transform.hpp"},
    {"fft", "radix-2 decimation in time", "fp32", "stages of length 2, 4, ..., no fma", "no codes", "infinity, as IEEE", "VidKV (arXiv 2503.16257)", "the library's order is not promised: ours", "quant/primitives/transform.hpp"},
    {"rope_half_split", "rotary positions on pairs half a head apart", "fp32", "products and sums rounded, no fma", "no codes", "infinity, as IEEE", "Hugging Face checkpoints", "-", "quant/primitives/transform.hpp"},
    {"top_k", "indices of the k largest, the lowest index first among equals, NaN last", "none", "none", "no codes", "cannot", "KVQuant, RotateKV, A2ATS", "-", "quant/primitives/select.hpp"},
    {"sparse_dot", "capped list of outliers times a vector", "fp32", "index ascending, fma", "kept as values", "infinity, as IEEE", "KVQuant (arXiv 2401.18079)", "released code adds atomically", "quant/primitives/select.hpp"},
    {"sparse_gemv", "CSR matrix times a vector", "fp32", "index ascending, fma", "kept as values", "infinity, as IEEE", "KVQuant (arXiv 2401.18079)", "released code adds atomically", "quant/primitives/select.hpp"},
    {"hamming", "population count of a XOR b", "uint32", "any: exact", "no codes", "cannot below 2^32 bits", "KVCrush (arXiv 2503.00022)", "-", "quant/primitives/select.hpp"},
    {"strided_pick", "stable sort by distance, every (items / count)-th", "none", "none", "no codes", "cannot", "KVCrush; openvino.genai, kvcrush.cpp", "the released sort is not stable", "quant/primitives/select.hpp"},
    {"entropy", "-sum of p ln p", "fp32", "index ascending", "no codes", "cannot", "FlexQuant (arXiv 2506.12024)", "-", "quant/primitives/select.hpp"},
    {"codeword_scores", "dot of a query with every codeword", "fp32", "element ascending, fma", "codewords are values", "infinity, as IEEE", "A2ATS (arXiv 2502.12665)", "-", "quant/primitives/codebook.hpp"},
    {"nearest_codeword", "index of the least squared distance, the lowest wins", "fp32", "element ascending, no fma", "codewords are values", "infinity, as IEEE", "A2ATS (arXiv 2502.12665)", "-", "quant/primitives/codebook.hpp"},
    {"shrink_code", "q / (2^n + 1) rounded half up by multiply and shift", "uint64", "none", "stays a code", "cannot", "PM-KVQ (arXiv 2505.18610)", "-", "quant/primitives/codebook.hpp"},
    {"power_of_two", "+-2^(f + r / 2^t) as a shifted table entry of 17 bits", "fp32", "none", "is the decoding", "infinity", "LRQ-DiT (arXiv 2508.03485)", "no released code", "quant/primitives/codebook.hpp"},
});
// clang-format on

}  // namespace

std::span<const KernelInfo> kernel_catalogue() { return kKernels; }

std::optional<KernelInfo> find_kernel(std::string_view name) {
  for (const KernelInfo& kernel : kKernels) {
    if (kernel.name == name) return kernel;
  }
  return std::nullopt;
}

std::string contract_line(const KernelInfo& kernel) {
  std::string line = "accumulator ";
  line += kernel.accumulator;
  line += "; order: ";
  line += kernel.order;
  line += "; dequantised: ";
  line += kernel.dequantised;
  line += "; overflow: ";
  line += kernel.overflow;
  return line;
}

}  // namespace systole::quant
