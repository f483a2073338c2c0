/* The entry points for slivers: hashing and expanding them, restoring symbols, following proofs. */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "merkle.h"

/* Slivers that are hashed together fill the lanes of small codes, but their recovery symbols must stay in the cache. */
#define SLIVERS_AT_ONCE 8u
#define TOGETHER_BYTES_MAX (256u << 10)

int32_t kernel_sliver_roots(int32_t path_number, uint32_t n, uint32_t originals, uint32_t symbol_bytes,
                            const uint8_t *slivers, uint64_t stride, uint32_t count, uint8_t *roots)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (n > SHARDS_MAX || originals >= n || !is_code(originals, n - originals, symbol_bytes) || count > SHARDS_MAX)
        return STATUS_BAD_ARGUMENT;
    const struct code code = code_of(originals, n - originals);
    const size_t recovery_bytes = (size_t)code.recovery * symbol_bytes, work_bytes = extend_scratch_bytes(&code);
    size_t together = TOGETHER_BYTES_MAX / recovery_bytes;
    together = together < 1 ? 1 : together > SLIVERS_AT_ONCE ? SLIVERS_AT_ONCE : together;
    together = together > count ? count : together;
    uint8_t *memory = scratch_of(work_bytes + together * (n * HASH_BYTES + recovery_bytes));
    if (!memory)
        return STATUS_NO_MEMORY;
    uint8_t *const leaves = memory + work_bytes, *const recovery = leaves + together * n * HASH_BYTES;
    for (uint32_t first = 0; first < count; first += (uint32_t)together) {
        const size_t words = count - first < together ? count - first : together;
        const uint8_t *const base = slivers + first * stride;
        uint8_t *symbols[SHARDS_MAX];
        for (uint32_t symbol = 0; symbol < n; symbol++)
            symbols[symbol] = symbol < originals ? (uint8_t *)base + (size_t)symbol * symbol_bytes
                                                 : recovery + (symbol - originals) * words * symbol_bytes;
        const struct symbols extended = {(const uint8_t *const *)symbols, stride, symbols + originals, symbol_bytes,
                                         words, symbol_bytes};
        extend(path, &code, &extended, memory);
        const uint8_t *const *all = (const uint8_t *const *)symbols;
        hash_symbols(path, all, stride, originals, words, symbol_bytes, leaves);
        hash_symbols(path, all + originals, symbol_bytes, code.recovery, words, symbol_bytes,
                     leaves + originals * words * HASH_BYTES);
        fold_to_roots(path, leaves, 1, n, words);
        memcpy(roots + (size_t)first * HASH_BYTES, leaves, words * HASH_BYTES);
    }
    free(memory);
    return STATUS_OK;
}

int32_t kernel_expand(int32_t path_number, uint32_t n, uint32_t originals, uint32_t symbol_bytes, const uint8_t *sliver,
                      uint8_t *recovery, uint8_t *levels)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (n > SHARDS_MAX || originals >= n || !is_code(originals, n - originals, symbol_bytes))
        return STATUS_BAD_ARGUMENT;
    const struct code code = code_of(originals, n - originals);
    uint8_t *scratch = scratch_of(extend_scratch_bytes(&code));
    if (!scratch)
        return STATUS_NO_MEMORY;
    uint8_t *symbols[SHARDS_MAX];
    for (uint32_t symbol = 0; symbol < n; symbol++)
        symbols[symbol] = symbol < originals ? (uint8_t *)sliver + (size_t)symbol * symbol_bytes
                                             : recovery + (size_t)(symbol - originals) * symbol_bytes;
    const uint8_t *const *all = (const uint8_t *const *)symbols;
    const struct symbols word = {all, 0, symbols + originals, 0, 1, symbol_bytes};
    extend(path, &code, &word, scratch);
    free(scratch);
    hash_symbols(path, all, 0, n, 1, symbol_bytes, levels);
    for (size_t count = n; count > 1;) {
        uint8_t *const above = levels + count * HASH_BYTES;
        count = fold_level(path, levels, above, 1, count, 1);
        levels = above;
    }
    return STATUS_OK;
}

int32_t kernel_follow_paths(int32_t path_number, const uint8_t *const *leaves, uint32_t leaf_bytes,
                            const uint8_t *const *siblings, uint32_t height, uint32_t index, uint32_t count,
                            uint8_t *roots)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (count > SHARDS_MAX || height > HEIGHT_MAX || leaf_bytes > SYMBOL_BYTES_MAX)
        return STATUS_BAD_ARGUMENT;
    path->hash_leaves(leaves, count, leaf_bytes, roots);
    for (uint32_t level = 0; level < height; level++, index >>= 1) {
        const uint8_t *own[SHARDS_MAX], *other[SHARDS_MAX];
        for (uint32_t at = 0; at < count; at++) {
            own[at] = roots + (size_t)at * HASH_BYTES;
            other[at] = siblings[at] + (size_t)level * HASH_BYTES;
        }
        path->hash_nodes(index & 1 ? other : own, index & 1 ? own : other, count, roots);
    }
    return STATUS_OK;
}

static int is_pattern(uint32_t originals, uint32_t recovery, const uint32_t *received, const uint32_t *wanted,
                      uint32_t wanted_count)
{
    if (wanted_count > originals)
        return 0;
    for (uint32_t index = 0; index < originals; index++) {
        if (received[index] >= originals + recovery)
            return 0;
    }
    for (uint32_t index = 0; index < wanted_count; index++) {
        if (wanted[index] >= originals)
            return 0;
    }
    return 1;
}

int32_t kernel_locate(int32_t path_number, uint32_t originals, uint32_t recovery, const uint32_t *received,
                      const uint32_t *wanted, uint32_t wanted_count, uint8_t *factors)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (!is_code(originals, recovery, 2) || !is_pattern(originals, recovery, received, wanted, wanted_count))
        return STATUS_BAD_ARGUMENT;
    const struct code code = code_of(originals, recovery);
    const struct pattern pattern = {received, wanted, wanted_count, NULL};
    pattern_factors(path, &code, &pattern, (struct factor *)(void *)factors);
    return STATUS_OK;
}

int32_t kernel_restore(int32_t path_number, uint32_t originals, uint32_t recovery, uint32_t symbol_bytes,
                       const uint32_t *received, const uint32_t *wanted, uint32_t wanted_count, const uint8_t *factors,
                       const uint8_t *const *inputs, uint64_t input_stride, uint8_t *const *outputs,
                       uint64_t output_stride, uint32_t words)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (!is_code(originals, recovery, symbol_bytes) || words > SHARDS_MAX ||
        !is_pattern(originals, recovery, received, wanted, wanted_count))
        return STATUS_BAD_ARGUMENT;
    const struct code code = code_of(originals, recovery);
    const struct pattern pattern = {received, wanted, wanted_count, (const struct factor *)(const void *)factors};
    const struct symbols symbols = {inputs, input_stride, outputs, output_stride, words, symbol_bytes};
    uint8_t *scratch = scratch_of(restore_scratch_bytes(&code));
    if (!scratch)
        return STATUS_NO_MEMORY;
    restore(path, &code, &pattern, &symbols, scratch);
    free(scratch);
    return STATUS_OK;
}
