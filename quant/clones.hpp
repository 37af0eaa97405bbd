// Private: before a function whose loops the compiler vectorises by itself over independent
// outputs, these make it compile versions for wider vectors and choose one at load time. Nothing is
// contracted or reordered, so all give the same bits. Features, not `arch=`: that looks at the
// maker of the CPU as well. (Sanitizers start after load-time choices are made: one version there.)
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYSTOLE_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
/// Where the loop is of fused steps: AVX2 alone has none.
#define SYSTOLE_FUSED_CLONES __attribute__((target_clones("default", "fma", "avx512f")))
#else
#define SYSTOLE_CLONES
#define SYSTOLE_FUSED_CLONES
#endif
