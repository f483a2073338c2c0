/* Which paths this processor and this system can run.
 *
 * Asked of the processor itself: __builtin_cpu_supports reports nothing under some compilers. A register file counts only
 * when the system saves it on a task switch, which XGETBV tells.
 */
#include "cpu.h"

#include "kernel.h"
#include "path.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define OSXSAVE_AND_AVX (1u << 27 | 1u << 28)
#define AVX2 (1u << 5)
#define AVX512_F_DQ_BW_VL (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)
#define GFNI (1u << 8)
#define YMM_STATE 0x06u
#define ZMM_STATE 0xE6u

static uint32_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

uint32_t available_paths(void)
{
    uint32_t paths = 1u << PATH_SCALAR, eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & OSXSAVE_AND_AVX) != OSXSAVE_AND_AVX)
        return paths;
    const uint32_t state = saved_state();
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & AVX2) || (state & YMM_STATE) != YMM_STATE)
        return paths;
    paths |= 1u << PATH_AVX2;
    if ((ebx & AVX512_F_DQ_BW_VL) == AVX512_F_DQ_BW_VL && (ecx & GFNI) && (state & ZMM_STATE) == ZMM_STATE)
        paths |= 1u << PATH_AVX512;
    return paths;
}

#elif defined(HAS_PATH_NEON)

uint32_t available_paths(void) { return 1u << PATH_SCALAR | 1u << PATH_NEON; } /* Every such processor has it. */

#else

uint32_t available_paths(void) { return 1u << PATH_SCALAR; }

#endif
