// Private: SYSTOLE_CLONES before a function whose loops the compiler may vectorise by itself makes
// it compile versions for wider vectors and choose at load time. Nothing is contracted or
// reordered, so they give the same bits. (Sanitizers start after load-time choices are made: one
// version there.)
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYSTOLE_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define SYSTOLE_CLONES
#endif
