/* Prints what each path of the kernel computes, as a hash, for some shapes: so two processors can be compared.
 *
 * The input is made from numbers that every processor counts in the same way. A line is `shape hash path`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"

#define ROOT_BYTES 32u
#define FACTOR_BYTES 128u
#define PAGE_COLUMNS 4u

static const char *const NAMES[PATH_COUNT] = {"scalar", "avx2", "avx512", "neon"};

/* n, rows (P), columns (S), bytes of a symbol: every residue of the tail of a block appears. */
static const uint32_t SHAPES[][4] = {
    {4, 2, 3, 2},      {7, 3, 5, 34},    {10, 4, 7, 62},   {10, 4, 7, 64},   {11, 5, 8, 66},  {13, 5, 9, 130},
    {31, 11, 21, 254}, {31, 11, 21, 18}, {64, 22, 43, 90}, {100, 34, 67, 6}, {100, 34, 67, 1026},
};

static uint64_t state;

static uint8_t next_byte(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)(state >> 32);
}

static uint8_t *filled(size_t bytes)
{
    uint8_t *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory)
        exit(2);
    for (size_t at = 0; at < bytes; at++)
        memory[at] = next_byte();
    return memory;
}

static uint64_t mixed(uint64_t hash, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at++)
        hash = (hash ^ bytes[at]) * 0x100000001B3u;
    return hash;
}

static void demand(int32_t status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "status %" PRId32 "\n", status);
        exit(1);
    }
}

/* An encoding of all but the last seven bytes of a matrix; `top` is kept for what follows. */
static uint64_t encode(int32_t path, const struct shape *shape, uint8_t *top, uint64_t hash)
{
    const size_t data_bytes = (size_t)shape->rows * shape->columns * shape->symbol_bytes;
    const size_t bottom_bytes = (size_t)(shape->n - shape->rows) * shape->columns * shape->symbol_bytes;
    uint8_t *data = filled(data_bytes), *bottom = filled(bottom_bytes);
    uint8_t *nodes = filled((size_t)shape->n * shape->pages * ROOT_BYTES);
    uint8_t *column_roots = filled(shape->n * ROOT_BYTES), *row_roots = filled(shape->n * ROOT_BYTES);
    demand(kernel_encode_rows(path, shape, data, data_bytes - 7, top, 0, shape->rows));
    demand(kernel_encode_columns(path, shape, top, bottom, nodes, column_roots, 0, shape->pages));
    demand(kernel_fold(path, nodes, shape->n, shape->pages, row_roots));
    hash = mixed(hash, top, (size_t)shape->rows * shape->n * shape->symbol_bytes);
    hash = mixed(hash, bottom, bottom_bytes);
    hash = mixed(hash, column_roots, shape->n * ROOT_BYTES);
    hash = mixed(hash, row_roots, shape->n * ROOT_BYTES);
    free(data), free(bottom), free(nodes), free(column_roots), free(row_roots);
    return hash;
}

/* Slivers by themselves: their hashes, one with its tree, and where proofs of its symbols end. */
static uint64_t slivers(int32_t path, const struct shape *shape, const uint8_t *top, uint64_t hash)
{
    const uint32_t n = shape->n, bytes = shape->symbol_bytes, columns = shape->columns;
    uint8_t *roots = filled((size_t)n * ROOT_BYTES), *recovery = filled((size_t)(n - columns) * bytes);
    uint8_t *levels = filled((size_t)2 * n * ROOT_BYTES + 32 * ROOT_BYTES), *root = filled(ROOT_BYTES);
    demand(kernel_sliver_roots(path, n, columns, bytes, top, (uint64_t)n * bytes, shape->rows, roots));
    demand(kernel_expand(path, n, columns, bytes, top, recovery, levels));
    hash = mixed(hash, roots, shape->rows * ROOT_BYTES);
    hash = mixed(hash, recovery, (size_t)(n - columns) * bytes);
    hash = mixed(hash, levels, n * ROOT_BYTES);
    demand(kernel_merkle_root(path, top, bytes, n, levels, root));
    hash = mixed(hash, root, ROOT_BYTES);
    const uint8_t *leaves[] = {top, top + bytes}, *siblings[] = {roots, roots};
    demand(kernel_follow_paths(path, leaves, bytes, siblings, 2, 1, 2, levels));
    hash = mixed(hash, levels, 2 * ROOT_BYTES);
    free(roots), free(recovery), free(levels), free(root);
    return hash;
}

/* The last symbols of each row of data, decoded from what follows them. */
static uint64_t decode(int32_t path, const struct shape *shape, const uint8_t *top, uint64_t hash)
{
    const uint32_t n = shape->n, bytes = shape->symbol_bytes, columns = shape->columns;
    const uint32_t lost = n - columns < columns ? n - columns : columns;
    uint32_t received[1000], wanted[1000];
    const uint8_t *inputs[1000];
    uint8_t *outputs[1000];
    uint8_t *restored = filled((size_t)lost * shape->rows * bytes), *factors = filled((size_t)2 * n * FACTOR_BYTES);
    for (uint32_t at = 0; at < columns; at++) {
        received[at] = at + lost;
        inputs[at] = top + (size_t)(at + lost) * bytes;
    }
    for (uint32_t at = 0; at < lost; at++) {
        wanted[at] = at;
        outputs[at] = restored + (size_t)at * shape->rows * bytes;
    }
    demand(kernel_locate(path, columns, n - columns, received, wanted, lost, factors));
    demand(kernel_restore(path, columns, n - columns, bytes, received, wanted, lost, factors, inputs,
                          (uint64_t)n * bytes, outputs, bytes, shape->rows));
    for (uint32_t row = 0; row < shape->rows; row++) {
        for (uint32_t at = 0; at < lost * bytes; at++) {
            if (outputs[at / bytes][row * bytes + at % bytes] != top[(size_t)row * n * bytes + at])
                demand(STATUS_BAD_ARGUMENT);
        }
    }
    hash = mixed(hash, restored, (size_t)lost * shape->rows * bytes);
    free(restored), free(factors);
    return hash;
}

int main(void)
{
    for (int32_t path = 0; path < PATH_COUNT; path++) {
        if (!(kernel_paths() >> path & 1))
            continue;
        demand(kernel_prepare(path));
        for (size_t index = 0; index < sizeof SHAPES / sizeof SHAPES[0]; index++) {
            const uint32_t *each = SHAPES[index], pages = (each[0] + PAGE_COLUMNS - 1) / PAGE_COLUMNS;
            const uint32_t page = pages < 2 ? PAGE_COLUMNS / 2 : PAGE_COLUMNS;
            const struct shape shape = {each[0], each[1], each[2], each[3], page, (each[0] + page - 1) / page};
            state = 0x9E3779B97F4A7C15u + index;
            uint8_t *top = filled((size_t)shape.rows * shape.n * shape.symbol_bytes);
            uint64_t hash = encode(path, &shape, top, 0xCBF29CE484222325u);
            hash = decode(path, &shape, top, slivers(path, &shape, top, hash));
            printf("n=%" PRIu32 ",symbol=%" PRIu32 " %016" PRIx64 " %s\n", shape.n, shape.symbol_bytes, hash, NAMES[path]);
            free(top);
        }
    }
    return 0;
}
