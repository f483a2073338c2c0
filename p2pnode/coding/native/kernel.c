/* The entry points for everything that is neither a whole encoding nor a sliver, and what all entry points share. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "entry.h"
#include "merkle.h"

#define LEAF_BATCH 512u
#define ALIGNMENT 64u

static const struct path *const PATHS[PATH_COUNT] = {
    [PATH_SCALAR] = &path_scalar,
#if defined(__x86_64__)
    [PATH_AVX2] = &path_avx2,
    [PATH_AVX512] = &path_avx512,
#endif
#if defined(HAS_PATH_NEON)
    [PATH_NEON] = &path_neon,
#endif
};

static int is_prepared[PATH_COUNT];

int32_t kernel_abi(void) { return KERNEL_ABI; }

int32_t kernel_paths(void) { return (int32_t)available_paths(); }

int32_t kernel_prepare(int32_t path)
{
    if (path < 0 || path >= PATH_COUNT || !(available_paths() >> path & 1))
        return STATUS_NO_PATH;
    field_prepare();
    for (uint32_t index = 0; index < TWIDDLES; index++)
        PATHS[path]->make_factor(&PATHS[path]->twiddles[index], (uint16_t)(2 * index));
    is_prepared[path] = 1;
    return STATUS_OK;
}

const struct path *path_of(int32_t number)
{
    return number >= 0 && number < PATH_COUNT && is_prepared[number] ? PATHS[number] : NULL;
}

int is_code(uint32_t originals, uint32_t recovery, uint32_t symbol_bytes)
{
    return originals >= 1 && originals <= SHARDS_MAX && recovery >= 1 && recovery <= SHARDS_MAX &&
           originals + recovery <= SHARDS_MAX && symbol_bytes >= 2 && symbol_bytes <= SYMBOL_BYTES_MAX &&
           symbol_bytes % 2 == 0;
}

uint8_t *scratch_of(size_t bytes)
{
    return aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void hash_symbols(const struct path *path, const uint8_t *const *bases, size_t stride, size_t count, size_t width,
                  size_t symbol_bytes, uint8_t *digests)
{
    const uint8_t *messages[LEAF_BATCH];
    size_t batch = 0;
    for (size_t symbol = 0; symbol < count; symbol++) {
        for (size_t word = 0; word < width; word++) {
            messages[batch++] = bases[symbol] + word * stride;
            if (batch == LEAF_BATCH) {
                path->hash_leaves(messages, batch, symbol_bytes, digests);
                digests += LEAF_BATCH * HASH_BYTES;
                batch = 0;
            }
        }
    }
    path->hash_leaves(messages, batch, symbol_bytes, digests);
}

int32_t kernel_fold(int32_t path_number, uint8_t *nodes, uint32_t lists, uint32_t count, uint8_t *roots)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (lists > SHARDS_MAX || count < 1 || count > SHARDS_MAX)
        return STATUS_BAD_ARGUMENT;
    fold_to_roots(path, nodes, lists, count, 1);
    memcpy(roots, nodes, (size_t)lists * HASH_BYTES);
    return STATUS_OK;
}

int32_t kernel_merkle_root(int32_t path_number, const uint8_t *leaves, uint32_t leaf_bytes, uint32_t count,
                           uint8_t *nodes, uint8_t *root)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (count < 1 || count > SHARDS_MAX || leaf_bytes > SYMBOL_BYTES_MAX)
        return STATUS_BAD_ARGUMENT;
    hash_symbols(path, &leaves, leaf_bytes, 1, count, leaf_bytes, nodes);
    fold_to_roots(path, nodes, 1, count, 1);
    memcpy(root, nodes, HASH_BYTES);
    return STATUS_OK;
}
