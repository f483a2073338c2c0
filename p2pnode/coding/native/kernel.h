/* The functions that p2pnode/coding/kernel.py calls, with ctypes: no Python.h, so one library serves every Python.
 *
 * The caller guarantees that every buffer has the size that is named here; it checks lengths and indices before each call.
 * The numbers are checked here once more against the limits of the format, so that no table is left. All functions may run
 * in several threads at once, on parts that do not overlap; none keeps a pointer after it returned.
 *
 * n shards; a message matrix of `rows` x `columns` symbols (P and S of the specification) of `symbol_bytes` bytes.
 */
#ifndef P2PNODE_KERNEL_H
#define P2PNODE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* Must be the number in kernel.py: a library that was built from other sources is not used. */
#define KERNEL_ABI 2

enum status { STATUS_OK = 0, STATUS_BAD_ARGUMENT = 1, STATUS_NO_MEMORY = 2, STATUS_NO_PATH = 3 };
enum path_number { PATH_SCALAR = 0, PATH_AVX2 = 1, PATH_AVX512 = 2, PATH_NEON = 3, PATH_COUNT = 4 };

/* The dimensions of an encoding. `page_columns` columns, a power of two, are extended and hashed at a time. */
struct shape {
    uint32_t n, rows, columns, symbol_bytes, page_columns, pages;
};

#define KERNEL_API __attribute__((visibility("default")))

KERNEL_API int32_t kernel_abi(void);

/* A bit for each path that this processor and this system can run. */
KERNEL_API int32_t kernel_paths(void);

/* Builds the tables of a path; before any other call for it. */
KERNEL_API int32_t kernel_prepare(int32_t path);

/* Rows [first, end) of `top` (rows x n symbols): copies their columns from `data`, `length` bytes and then zeros, and
 * fills the others. */
KERNEL_API int32_t kernel_encode_rows(int32_t path, const struct shape *shape, const uint8_t *data, uint64_t length,
                                      uint8_t *top, uint32_t first, uint32_t end);

/* Pages [first, end) of columns: extends them, writes the stored part of the lower rows to `bottom` ((n - rows) x columns
 * symbols; null when nobody wants them), the roots of the columns to `column_roots` (n x 32), and for each row the node above the page's leaves to
 * `row_nodes` (n x pages x 32). */
KERNEL_API int32_t kernel_encode_columns(int32_t path, const struct shape *shape, const uint8_t *top, uint8_t *bottom,
                                         uint8_t *row_nodes, uint8_t *column_roots, uint32_t first, uint32_t end);

/* The roots of `lists` lists of `count` nodes, which are overwritten. */
KERNEL_API int32_t kernel_fold(int32_t path, uint8_t *nodes, uint32_t lists, uint32_t count, uint8_t *roots);

/* The hashes of `count` slivers of `originals` symbols, each extended to n; they begin `stride` bytes apart. */
KERNEL_API int32_t kernel_sliver_roots(int32_t path, uint32_t n, uint32_t originals, uint32_t symbol_bytes,
                                       const uint8_t *slivers, uint64_t stride, uint32_t count, uint8_t *roots);

/* One sliver: its n - originals other symbols, and all levels of its tree, leaves first, one after the other. */
KERNEL_API int32_t kernel_expand(int32_t path, uint32_t n, uint32_t originals, uint32_t symbol_bytes,
                                 const uint8_t *sliver, uint8_t *recovery, uint8_t *levels);

/* The root over `count` leaves of `leaf_bytes` bytes, one after the other; `nodes` is scratch, count x 32. */
KERNEL_API int32_t kernel_merkle_root(int32_t path, const uint8_t *leaves, uint32_t leaf_bytes, uint32_t count,
                                      uint8_t *nodes, uint8_t *root);

/* Where the paths of `count` leaves with the same index end: each has `height` siblings of 32 bytes. */
KERNEL_API int32_t kernel_follow_paths(int32_t path, const uint8_t *const *leaves, uint32_t leaf_bytes,
                                       const uint8_t *const *siblings, uint32_t height, uint32_t index, uint32_t count,
                                       uint8_t *roots);

/* The factors (128 bytes each, aligned to 64) for one pattern of `originals` received positions and some wanted ones. */
KERNEL_API int32_t kernel_locate(int32_t path, uint32_t originals, uint32_t recovery, const uint32_t *received,
                                 const uint32_t *wanted, uint32_t wanted_count, uint8_t *factors);

/* Symbols at wanted positions from the received ones, for `words` codewords. */
KERNEL_API int32_t kernel_restore(int32_t path, uint32_t originals, uint32_t recovery, uint32_t symbol_bytes,
                                  const uint32_t *received, const uint32_t *wanted, uint32_t wanted_count,
                                  const uint8_t *factors, const uint8_t *const *inputs, uint64_t input_stride,
                                  uint8_t *const *outputs, uint64_t output_stride, uint32_t words);

#endif
