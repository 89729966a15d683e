/* A decoding step, which runs faster on a CPU in C than by torch's operators.

   Weights and caches are stored as Number, float or bfloat16; the arithmetic is in float. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, LINE_BYTES = 64, BYTES_AHEAD = 8192 };
enum { MOST_ROWS = 8 }; /* as in decode_step.py */
enum { FOR_READING = 0, INTO_L2 = 2 }; /* arguments of __builtin_prefetch */

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t Bits __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* Lane by lane, yes where the mask is set, else no. */
static inline Lanes chosen(Bits mask, Lanes yes, Lanes no) {
    return (Lanes)((mask & (Bits)yes) | (~mask & (Bits)no));
}

#ifdef BFLOAT16
typedef uint16_t Number;
typedef uint16_t Halves __attribute__((vector_size(LANES * sizeof(uint16_t))));

static inline Lanes read_lanes(const Number *from) {
    Halves halves;
    memcpy(&halves, from, sizeof halves);
    return (Lanes)(__builtin_convertvector(halves, Bits) << 16);
}

static inline float read_number(Number number) {
    uint32_t bits = (uint32_t)number << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounded to the nearest, ties to even. */
static inline void write_lanes(Number *to, Lanes lanes) {
    Bits bits = (Bits)lanes, none = {0};
    Lanes rounded = (Lanes)(bits + 0x7fff + (bits >> 16 & 1)), nan = (Lanes)(none + 0x7fc00000);
    Bits kept = (Bits)chosen((Bits)(lanes != lanes), nan, rounded) >> 16;
    Halves halves = __builtin_convertvector(kept, Halves);
    memcpy(to, &halves, sizeof halves);
}
#else
typedef float Number;

static inline Lanes read_lanes(const Number *from) {
    Lanes lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

static inline float read_number(Number number) { return number; }
static inline void write_lanes(Number *to, Lanes lanes) { memcpy(to, &lanes, sizeof lanes); }
#endif

/* Up to LANES floats; missing ones are 0. */
static inline Lanes read_floats(const float *from, long count) {
    Lanes lanes = {0};
    if (count >= LANES)
        memcpy(&lanes, from, sizeof lanes);
    else
        memcpy(&lanes, from, count * sizeof *from);
    return lanes;
}

static inline void write_some(Number *to, Lanes lanes, long count) {
    if (count >= LANES) {
        write_lanes(to, lanes);
        return;
    }
    Number numbers[LANES];
    write_lanes(numbers, lanes);
    memcpy(to, numbers, count * sizeof *to);
}

/* ---- The GELU ---- */

/* e^x = 2^n e^r, where |r| <= ln(2) / 2; e^r by Taylor's series, to the precision of floats. */
static inline Lanes exp_of_lanes(Lanes x) {
    const float least = -87, most = 88, ln2_high = 0.693145752f, ln2_low = 1.42860677e-6f;
    const float to_integer = 12582912; /* 1.5 * 2^23: adding it rounds to an integer */
    Lanes all = {0}, within = chosen((Bits)(x < least), all + least, x);
    Lanes shifted = within * 1.44269504f + to_integer, n = shifted - to_integer;
    Lanes r = within - n * ln2_high - n * ln2_low;
    const float factors[] = {1, 1, 1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720};
    Lanes series = all;
    for (int power = 6; power >= 0; power--) series = factors[power] + r * series;
    Bits exponent = (Bits)shifted - (Bits)(all + to_integer) + 127;
    return chosen((Bits)(x > most), all + INFINITY, series * (Lanes)(exponent << 23));
}

/* 1 / (1 + e^-2u), which is (1 + tanh u) / 2, for u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline Lanes gate(Lanes x) {
    return 1 / (1 + exp_of_lanes(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

static inline Lanes gelu_of_lanes(Lanes x) { return x * gate(x); }

/* ---- A decoding step: one new token of every row ----

   With few rows the memory's bandwidth limits the speed. So weights are stored as [out in], each
   product reads them once, cache line by cache line, and prefetches later lines. */

enum { LINE = LINE_BYTES / sizeof(Number), LANES_PER_LINE = LINE / LANES };

typedef struct { const float *gain, *bias; } Norm;
typedef struct { const Number *weight; const float *bias; } Affine;

typedef struct {
    Norm ln1;
    Affine query_key_value, output;
    Norm ln2;
    Affine mlp_in, mlp_out;
} Block;

typedef struct { Number *keys, *values; } Cache; /* of a layer, [batch head n_ctx d_head] */

typedef struct {
    long n_layers, n_heads, d_head, d_mlp, n_ctx, d_vocab;
    float eps;
    const Block *blocks;
    Norm ln_final;
    Affine unembedding;
} Model;

/* A pairwise sum, since a compiler may not reorder float additions. */
static inline float sum_of_lanes(const Lanes *parts) {
    Lanes together = parts[0];
    for (int part = 1; part < LANES_PER_LINE; part++) together += parts[part];
    float lanes[LANES];
    memcpy(lanes, &together, sizeof lanes);
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

/* The dot product of each of `rows` inputs with one row of a weight; `rows` is a constant wherever
   this is inlined. */
static inline __attribute__((always_inline)) void
dots(float *result, const float *inputs, const Number *weight, long inner, const int rows) {
    Lanes sums[MOST_ROWS][LANES_PER_LINE] = {0};
    long at = 0;
    for (; at + LINE <= inner; at += LINE) {
        __builtin_prefetch((const char *)(weight + at) + BYTES_AHEAD, FOR_READING, INTO_L2);
        for (int part = 0; part < LANES_PER_LINE; part++) {
            Lanes lanes = read_lanes(weight + at + part * LANES);
            for (int row = 0; row < rows; row++) {
                Lanes input;
                memcpy(&input, inputs + row * inner + at + part * LANES, sizeof input);
                sums[row][part] += lanes * input;
            }
        }
    }
    for (int row = 0; row < rows; row++) {
        float sum = sum_of_lanes(sums[row]);
        for (long rest = at; rest < inner; rest++)
            sum += read_number(weight[rest]) * inputs[row * inner + rest];
        result[row] = sum;
    }
}

static void dots_of_rows(
    float *result, const float *inputs, const Number *weight, long inner, long rows
) {
    switch (rows) {
    case 1: dots(result, inputs, weight, inner, 1); break;
    case 2: dots(result, inputs, weight, inner, 2); break;
    case 3: dots(result, inputs, weight, inner, 3); break;
    case 4: dots(result, inputs, weight, inner, 4); break;
    case 5: dots(result, inputs, weight, inner, 5); break;
    case 6: dots(result, inputs, weight, inner, 6); break;
    case 7: dots(result, inputs, weight, inner, 7); break;
    default: dots(result, inputs, weight, inner, MOST_ROWS);
    }
}

/* outputs [rows out]: inputs [rows inner] times the weight, plus the bias if there is one. */
static void affine(
    float *outputs, const float *inputs, Affine map, long rows, long inner, long out, long threads
) {
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long column = 0; column < out; column++) {
        float results[MOST_ROWS];
        dots_of_rows(results, inputs, map.weight + column * inner, inner, rows);
        for (long row = 0; row < rows; row++)
            outputs[row * out + column] = results[row] + (map.bias ? map.bias[column] : 0);
    }
}

static void add(float *residual, const float *update, long count) {
    for (long at = 0; at < count; at++) residual[at] += update[at];
}

static void layer_norm(
    float *outputs, const float *residual, Norm norm, float eps, long rows, long d_model
) {
    for (long row = 0; row < rows; row++, outputs += d_model, residual += d_model) {
        float sum = 0, squares = 0;
        for (long at = 0; at < d_model; at++) sum += residual[at];
        float mean = sum / d_model;
        for (long at = 0; at < d_model; at++) {
            outputs[at] = residual[at] - mean;
            squares += outputs[at] * outputs[at];
        }
        float scale = sqrtf(squares / d_model + eps);
        for (long at = 0; at < d_model; at++)
            outputs[at] = outputs[at] / scale * norm.gain[at] + norm.bias[at];
    }
}

/* The GELU of floats, in place. */
static void gelu_of_floats(float *values, long count, long threads) {
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long at = 0; at < count; at += LANES) {
        Lanes results = gelu_of_lanes(read_floats(values + at, count - at));
        memcpy(values + at, &results, (count - at < LANES ? count - at : LANES) * sizeof *values);
    }
}

/* Attention of one head of one row to the first `places` positions.
   z, query [d_head]; keys, values [places d_head]; pattern [places]: a buffer. */
static void head_attention(
    float *z, const float *query, const Number *keys, const Number *values, float *pattern,
    long places, long d_head
) {
    float most = -INFINITY, sum = 0;
    for (long place = 0; place < places; place++) {
        dots(pattern + place, query, keys + place * d_head, d_head, 1);
        pattern[place] /= sqrtf(d_head);
        most = fmaxf(most, pattern[place]);
    }
    memset(z, 0, d_head * sizeof *z);
    for (long place = 0; place < places; place++) {
        float weight = expf(pattern[place] - most);
        sum += weight;
        for (long at = 0; at < d_head; at++)
            z[at] += weight * read_number(values[place * d_head + at]);
    }
    for (long at = 0; at < d_head; at++) z[at] /= sum;
}

/* Stores the keys and values of projected [rows three head d_head] at each row's position, and
   computes attention: z [rows head d_head]. pattern [rows head n_ctx]: a buffer. */
static void attention(
    float *z, const float *projected, const Cache *cache, const int64_t *positions,
    float *pattern, long rows, const Model *model, long threads
) {
    long heads = model->n_heads, d_head = model->d_head;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long each = 0; each < rows * heads; each++) {
        long row = each / heads, head = each % heads, position = positions[row];
        const float *query = projected + (row * 3 * heads + head) * d_head;
        const float *key = query + heads * d_head, *value = key + heads * d_head;
        Number *keys = cache->keys + each * model->n_ctx * d_head;
        Number *values = cache->values + each * model->n_ctx * d_head;
        for (long at = 0; at < d_head; at += LANES) {
            long place = position * d_head + at, left = d_head - at;
            write_some(keys + place, read_floats(key + at, left), left);
            write_some(values + place, read_floats(value + at, left), left);
        }
        float *mine = pattern + each * model->n_ctx;
        head_attention(z + each * d_head, query, keys, values, mine, position + 1, d_head);
    }
}

/* Computes the logits [rows d_vocab] after one new token of every row.
   residual [rows d_model]: the tokens' embeddings; overwritten.
   caches [layer]; positions [rows]: the tokens' positions.
   normal, update [rows d_model], wide [rows max(3 d_model, d_mlp)], pattern [rows head n_ctx]:
   buffers. */
void decoding_step(
    const Model *model, const Cache *caches, float *residual, const int64_t *positions,
    float *logits, long rows, long threads, float *normal, float *update, float *wide, float *pattern
) {
    long d_model = model->n_heads * model->d_head, d_mlp = model->d_mlp;
    for (long layer = 0; layer < model->n_layers; layer++) {
        const Block *block = model->blocks + layer;
        layer_norm(normal, residual, block->ln1, model->eps, rows, d_model);
        affine(wide, normal, block->query_key_value, rows, d_model, 3 * d_model, threads);
        attention(normal, wide, caches + layer, positions, pattern, rows, model, threads);
        affine(update, normal, block->output, rows, d_model, d_model, threads);
        add(residual, update, rows * d_model);
        layer_norm(normal, residual, block->ln2, model->eps, rows, d_model);
        affine(wide, normal, block->mlp_in, rows, d_model, d_mlp, threads);
        gelu_of_floats(wide, rows * d_mlp, threads);
        affine(update, wide, block->mlp_out, rows, d_mlp, d_model, threads);
        add(residual, update, rows * d_model);
    }
    layer_norm(normal, residual, model->ln_final, model->eps, rows, d_model);
    affine(logits, normal, model->unembedding, rows, d_model, model->d_vocab, threads);
}
