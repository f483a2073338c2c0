/* Encoding a whole blob, by ranges of rows and of columns. */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "merkle.h"

#define PAGE_COLUMNS_MAX 64u

/* Rows are copied and then extended while they are in the cache. */
#define ROWS_BYTES_MAX ((size_t)256 << 10)

static int is_shape(const struct shape *shape)
{
    const uint32_t page = shape->page_columns;
    return shape->n <= SHARDS_MAX && shape->rows < shape->n && shape->columns < shape->n &&
           is_code(shape->rows, shape->n - shape->rows, shape->symbol_bytes) &&
           is_code(shape->columns, shape->n - shape->columns, shape->symbol_bytes) && page >= 1 &&
           page <= PAGE_COLUMNS_MAX && (page & (page - 1)) == 0 && shape->pages == (shape->n + page - 1) / page &&
           shape->pages >= 2;
}

/* Copies bytes [start, start + count) of the data, with zeros after its end. */
static void copy_padded(uint8_t *target, const uint8_t *data, uint64_t length, uint64_t start, uint64_t count)
{
    const uint64_t from = start < length ? start : length, present = length - from < count ? length - from : count;
    memcpy(target, data + from, present);
    memset(target + present, 0, count - present);
}

int32_t kernel_encode_rows(int32_t path_number, const struct shape *shape, const uint8_t *data, uint64_t length,
                           uint8_t *top, uint32_t first, uint32_t end)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (!is_shape(shape) || first > end || end > shape->rows)
        return STATUS_BAD_ARGUMENT;
    const size_t symbol_bytes = shape->symbol_bytes, data_row = shape->columns * symbol_bytes;
    const size_t row_bytes = shape->n * symbol_bytes;
    const struct code code = code_of(shape->columns, shape->n - shape->columns);
    uint8_t *scratch = scratch_of(extend_scratch_bytes(&code));
    if (!scratch)
        return STATUS_NO_MEMORY;
    const size_t together = row_bytes < ROWS_BYTES_MAX ? ROWS_BYTES_MAX / row_bytes : 1;
    for (size_t start = first; start < end; start += together) {
        const size_t count = end - start < together ? end - start : together;
        for (size_t row = start; row < start + count; row++)
            copy_padded(top + row * row_bytes, data, length, row * data_row, data_row);
        uint8_t *symbols[SHARDS_MAX];
        for (size_t column = 0; column < shape->n; column++)
            symbols[column] = top + start * row_bytes + column * symbol_bytes;
        const struct symbols rows = {(const uint8_t *const *)symbols, row_bytes, symbols + shape->columns, row_bytes,
                                     count, symbol_bytes};
        extend(path, &code, &rows, scratch);
    }
    free(scratch);
    return STATUS_OK;
}

/* The memory of one thread that encodes columns, in one piece. */
struct column_scratch {
    uint8_t *work, *corner, *leaves, *nodes;
};

/* One page: symbols of the columns go down, then all are hashed while they are in the cache. */
static void encode_page(const struct path *path, const struct shape *shape, const struct code *code,
                        const struct column_scratch *scratch, const uint8_t *top, uint8_t *bottom, uint8_t *row_nodes,
                        uint8_t *column_roots, uint32_t page)
{
    const size_t n = shape->n, rows = shape->rows, symbol_bytes = shape->symbol_bytes;
    const size_t first = (size_t)page * shape->page_columns;
    const size_t width = n - first < shape->page_columns ? n - first : shape->page_columns;
    const size_t left = bottom && first < shape->columns ? shape->columns - first : 0;
    const size_t stored = left < width ? left : width;
    const int is_corner = stored < width; /* Then at least some of the lower symbols are hashed only. */
    uint8_t *symbols[SHARDS_MAX];
    for (size_t row = 0; row < rows; row++)
        symbols[row] = (uint8_t *)top + (row * n + first) * symbol_bytes;
    for (size_t row = rows; row < n; row++)
        symbols[row] = is_corner ? scratch->corner + (row - rows) * width * symbol_bytes
                                 : bottom + ((row - rows) * shape->columns + first) * symbol_bytes;
    const struct symbols page_symbols = {(const uint8_t *const *)symbols, symbol_bytes, symbols + rows, symbol_bytes,
                                         width, symbol_bytes};
    extend(path, code, &page_symbols, scratch->work);
    for (size_t row = rows; is_corner && stored && row < n; row++)
        memcpy(bottom + ((row - rows) * shape->columns + first) * symbol_bytes, symbols[row], stored * symbol_bytes);
    hash_symbols(path, (const uint8_t *const *)symbols, symbol_bytes, n, width, symbol_bytes, scratch->leaves);
    const uint8_t *nodes = scratch->leaves;
    size_t count = width;
    for (size_t span = 1; span < shape->page_columns; span *= 2) {
        count = fold_level(path, nodes, scratch->nodes, n, count, 1);
        nodes = scratch->nodes;
    }
    for (size_t row = 0; row < n; row++)
        memcpy(row_nodes + (row * shape->pages + page) * HASH_BYTES, nodes + row * HASH_BYTES, HASH_BYTES);
    fold_to_roots(path, scratch->leaves, 1, n, width);
    memcpy(column_roots + first * HASH_BYTES, scratch->leaves, width * HASH_BYTES);
}

int32_t kernel_encode_columns(int32_t path_number, const struct shape *shape, const uint8_t *top, uint8_t *bottom,
                              uint8_t *row_nodes, uint8_t *column_roots, uint32_t first, uint32_t end)
{
    const struct path *path = path_of(path_number);
    if (!path)
        return STATUS_NO_PATH;
    if (!is_shape(shape) || first > end || end > shape->pages)
        return STATUS_BAD_ARGUMENT;
    const size_t n = shape->n, page = shape->page_columns;
    const struct code code = code_of(shape->rows, shape->n - shape->rows);
    const size_t work_bytes = extend_scratch_bytes(&code), leaf_bytes = n * page * HASH_BYTES;
    uint8_t *memory = scratch_of(work_bytes + 2 * leaf_bytes + (n - shape->rows) * page * shape->symbol_bytes);
    if (!memory)
        return STATUS_NO_MEMORY;
    const struct column_scratch scratch = {
        .work = memory,
        .leaves = memory + work_bytes,
        .nodes = memory + work_bytes + leaf_bytes,
        .corner = memory + work_bytes + 2 * leaf_bytes,
    };
    for (uint32_t at = first; at < end; at++)
        encode_page(path, shape, &code, &scratch, top, bottom, row_nodes, column_roots, at);
    free(memory);
    return STATUS_OK;
}
