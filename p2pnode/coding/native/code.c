/* Strips of many codewords go through the transforms: a strip is so narrow that its work area stays in the cache. */
#include "code.h"

#include <string.h>

/* A strip is as wide as keeps a work area in this many bytes, between these two widths: a narrow one pays for setting up
 * factors, a wide one leaves the first level cache. */
#define WORK_BYTES (32u << 10)
#define STRIP_BLOCKS_MIN 4u
#define STRIP_BLOCKS_MAX 16u
#define RUNS_MAX (STRIP_BLOCKS_MAX * HALF_BYTES)

static uint32_t layers_of(uint32_t count)
{
    uint32_t layers = 0;
    while (1u << layers < count)
        layers++;
    return layers;
}

struct code code_of(uint32_t originals, uint32_t recovery)
{
    const uint32_t k = layers_of(originals), r = layers_of(recovery);
    struct code code = {.originals = originals, .recovery = recovery};
    code.is_high = k > r || (k == r && originals <= recovery);
    code.layers = code.is_high ? r : k;
    code.chunk = 1u << code.layers;
    return code;
}

/* How the bytes of all words are laid out in blocks: first the full blocks of each symbol, then the tails, as many to a
 * block as fit. A tail alone would waste most of a block when symbols are small. */
struct layout {
    size_t words, full, tail_half, tails_per_block, blocks;
};

static struct layout layout_of(const struct symbols *symbols)
{
    struct layout layout = {.words = symbols->words, .full = symbols->symbol_bytes / BLOCK_BYTES};
    layout.tail_half = symbols->symbol_bytes % BLOCK_BYTES / 2;
    layout.blocks = layout.words * layout.full;
    if (layout.tail_half) {
        layout.tails_per_block = HALF_BYTES / layout.tail_half;
        layout.blocks += (layout.words + layout.tails_per_block - 1) / layout.tails_per_block;
    }
    return layout;
}

/* Writes the runs of the strip of `width` blocks from block `first` on; returns how many. */
static size_t strip_runs(const struct layout *layout, size_t first, size_t width, struct run *runs)
{
    const size_t full_blocks = layout->words * layout->full;
    size_t count = 0, done = 0;
    while (done < width && first + done < full_blocks) {
        const size_t word = (first + done) / layout->full, block = (first + done) % layout->full;
        size_t run = layout->full - block;
        if (run > width - done)
            run = width - done;
        runs[count++] = (struct run){(uint32_t)word, (uint32_t)(block * BLOCK_BYTES), (uint32_t)(done * BLOCK_BYTES),
                                     (uint32_t)(run * BLOCK_BYTES), 0};
        done += run;
    }
    for (; done < width; done++) {
        size_t word = (first + done - full_blocks) * layout->tails_per_block;
        for (size_t slot = 0; slot < layout->tails_per_block && word < layout->words; slot++, word++)
            runs[count++] = (struct run){(uint32_t)word, (uint32_t)(layout->full * BLOCK_BYTES),
                                         (uint32_t)(done * BLOCK_BYTES + slot * layout->tail_half), 0,
                                         (uint32_t)layout->tail_half};
    }
    return count;
}

static size_t strip_blocks(uint32_t rows)
{
    const uint32_t fitting = WORK_BYTES / BLOCK_BYTES / rows;
    if (fitting < STRIP_BLOCKS_MIN)
        return STRIP_BLOCKS_MIN;
    return fitting < STRIP_BLOCKS_MAX ? fitting : STRIP_BLOCKS_MAX;
}

size_t extend_scratch_bytes(const struct code *code)
{
    return 2 * (size_t)code->chunk * strip_blocks(code->chunk) * BLOCK_BYTES;
}

/* One strip on its way through the code. */
struct strip {
    const struct path *path;
    const struct symbols *symbols;
    struct run runs[RUNS_MAX];
    size_t count;
    size_t row_bytes;
};

static void load(const struct strip *strip, uint8_t *row, size_t input)
{
    strip->path->load(row, strip->symbols->inputs[input], strip->symbols->input_stride, strip->runs, strip->count);
}

static void store(const struct strip *strip, const uint8_t *row, size_t output)
{
    strip->path->store(row, strip->symbols->outputs[output], strip->symbols->output_stride, strip->runs, strip->count);
}

/* Every chunk of originals gives coefficients; the values of their sum at the points from 0 are the recovery symbols. */
static void extend_high(const struct strip *strip, const struct code *code, uint8_t *total, uint8_t *work)
{
    const size_t row_bytes = strip->row_bytes, area = code->chunk * row_bytes;
    for (uint32_t start = 0; start < code->originals; start += code->chunk) {
        const uint32_t rest = code->originals - start, used = rest < code->chunk ? rest : code->chunk;
        uint8_t *target = start ? work : total;
        for (uint32_t row = 0; row < used; row++)
            load(strip, target + row * row_bytes, start + row);
        memset(target + used * row_bytes, 0, (code->chunk - used) * row_bytes);
        strip->path->inverse(target, row_bytes, code->layers, start + code->chunk, used);
        if (start)
            strip->path->add(total, work, area);
    }
    strip->path->forward(total, row_bytes, code->layers, 0, code->recovery);
    for (uint32_t row = 0; row < code->recovery; row++)
        store(strip, total + row * row_bytes, row);
}

/* The originals give the coefficients; the values at the points from the chunk on are the recovery symbols. */
static void extend_low(const struct strip *strip, const struct code *code, uint8_t *coefficients, uint8_t *work)
{
    const size_t row_bytes = strip->row_bytes, area = code->chunk * row_bytes;
    for (uint32_t row = 0; row < code->originals; row++)
        load(strip, coefficients + row * row_bytes, row);
    memset(coefficients + code->originals * row_bytes, 0, (code->chunk - code->originals) * row_bytes);
    strip->path->inverse(coefficients, row_bytes, code->layers, 0, code->originals);
    for (uint32_t start = 0; start < code->recovery; start += code->chunk) {
        const uint32_t rest = code->recovery - start, used = rest < code->chunk ? rest : code->chunk;
        uint8_t *values = coefficients; /* The last chunk may overwrite them. */
        if (rest > code->chunk) {
            memcpy(work, coefficients, area);
            values = work;
        }
        strip->path->forward(values, row_bytes, code->layers, start + code->chunk, used);
        for (uint32_t row = 0; row < used; row++)
            store(strip, values + row * row_bytes, start + row);
    }
}

void extend(const struct path *path, const struct code *code, const struct symbols *symbols, uint8_t *scratch)
{
    const struct layout layout = layout_of(symbols);
    const size_t width_max = strip_blocks(code->chunk);
    struct strip strip = {.path = path, .symbols = symbols};
    uint8_t *second = scratch + (size_t)code->chunk * width_max * BLOCK_BYTES;
    memset(scratch, 0, extend_scratch_bytes(code)); /* What lies between tails is computed too, and must be defined. */
    for (size_t first = 0; first < layout.blocks; first += width_max) {
        const size_t rest = layout.blocks - first, width = rest < width_max ? rest : width_max;
        strip.count = strip_runs(&layout, first, width, strip.runs);
        strip.row_bytes = width * BLOCK_BYTES;
        (code->is_high ? extend_high : extend_low)(&strip, code, scratch, second);
    }
}

/* The point of a position, and the points that decoding covers. */
static uint32_t point_of(const struct code *code, uint32_t position)
{
    if (position < code->originals)
        return code->is_high ? code->chunk + position : position;
    position -= code->originals;
    return code->is_high ? position : code->chunk + position;
}

static uint32_t points_end(const struct code *code)
{
    return code->chunk + (code->is_high ? code->originals : code->recovery);
}

size_t restore_scratch_bytes(const struct code *code)
{
    const uint32_t rows = 1u << layers_of(points_end(code));
    return (size_t)rows * strip_blocks(rows) * BLOCK_BYTES;
}

/* The sum of the logarithms of the differences between a point and others, modulo the order; itself is left out. */
static uint32_t log_of_product(uint32_t point, const uint16_t *others, size_t count)
{
    uint64_t sum = 0;
    for (size_t index = 0; index < count; index++) {
        const uint32_t difference = point ^ others[index];
        sum += difference ? field_log[difference] : 0;
    }
    return (uint32_t)(sum % FIELD_ORDER);
}

/* The locator vanishes at the unknown points. At high rate these are the missing symbols and [r, chunk). At low rate they
 * are the missing symbols and all points after the last one; the product over the whole field is 1, so there it is the
 * inverse of the product over the known points: the received symbols, and the zeros in [k, chunk). */
void pattern_factors(const struct path *path, const struct code *code, const struct pattern *pattern,
                     struct factor *factors)
{
    uint8_t is_received[2048] = {0};
    uint16_t others[2048];
    size_t count = 0;
    const uint32_t n = code->originals + code->recovery;
    for (uint32_t index = 0; index < code->originals; index++)
        is_received[pattern->received[index]] = 1;
    for (uint32_t position = 0; position < n; position++) {
        if (is_received[position] != code->is_high)
            others[count++] = (uint16_t)point_of(code, position);
    }
    for (uint32_t point = code->is_high ? code->recovery : code->originals; point < code->chunk; point++)
        others[count++] = (uint16_t)point;
    for (uint32_t index = 0; index < code->originals + pattern->wanted_count; index++) {
        const uint32_t is_wanted = index >= code->originals;
        const uint32_t position = is_wanted ? pattern->wanted[index - code->originals] : pattern->received[index];
        uint32_t log = log_of_product(point_of(code, position), others, count);
        /* Received symbols are multiplied by the locator, wanted ones are divided by it. */
        if (is_wanted == code->is_high)
            log = FIELD_ORDER - log;
        path->make_factor(&factors[index], field_exp[log]);
    }
}

/* Each row gets the sum of the rows whose index has one bit more. */
static void derive(const struct path *path, uint8_t *work, size_t row_bytes, uint32_t rows)
{
    for (size_t index = 1; index < rows; index++) {
        const size_t width = index & (~index + 1);
        path->add(work + (index - width) * row_bytes, work + index * row_bytes, width * row_bytes);
    }
}

static void restore_strip(const struct strip *strip, const struct code *code, const struct pattern *pattern,
                          uint8_t *work)
{
    const struct path *path = strip->path;
    const size_t row_bytes = strip->row_bytes;
    const uint32_t end = points_end(code), layers = layers_of(end), rows = 1u << layers;
    memset(work, 0, rows * row_bytes);
    for (uint32_t index = 0; index < code->originals; index++) {
        uint8_t *row = work + point_of(code, pattern->received[index]) * row_bytes;
        load(strip, row, index);
        path->scale(row, row_bytes, &pattern->factors[index]);
    }
    path->inverse(work, row_bytes, layers, 0, end);
    derive(path, work, row_bytes, rows);
    path->forward(work, row_bytes, layers, 0, end);
    for (uint32_t index = 0; index < pattern->wanted_count; index++) {
        uint8_t *row = work + point_of(code, pattern->wanted[index]) * row_bytes;
        path->scale(row, row_bytes, &pattern->factors[code->originals + index]);
        store(strip, row, index);
    }
}

void restore(const struct path *path, const struct code *code, const struct pattern *pattern,
             const struct symbols *symbols, uint8_t *scratch)
{
    const struct layout layout = layout_of(symbols);
    const size_t width_max = strip_blocks(1u << layers_of(points_end(code)));
    struct strip strip = {.path = path, .symbols = symbols};
    for (size_t first = 0; first < layout.blocks; first += width_max) {
        const size_t rest = layout.blocks - first, width = rest < width_max ? rest : width_max;
        strip.count = strip_runs(&layout, first, width, strip.runs);
        strip.row_bytes = width * BLOCK_BYTES;
        restore_strip(&strip, code, pattern, scratch);
    }
}
