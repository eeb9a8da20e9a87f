/* variant.h - what is particular to a variant, as data and a few functions; one descriptor a family (variants/<family>.c).
 * SPDX-License-Identifier: MIT
 * problem.c, plan.c and pack.c loop over descriptors and know no variant. The hconv tool reads the same descriptors. */
#ifndef HCONV_VARIANT_H
#define HCONV_VARIANT_H

#include "hconv/library.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
#define HCONV_VARIANT(name, family, keys, words, about) HCONV_VARIANT_##name,
#include "variants.def"
#undef HCONV_VARIANT
    HCONV_VARIANT_COUNT
};

#define HCONV_KEY_END {NULL, 0, {0}, 0, 0}
#define HCONV_WORD_END {NULL, 0, 0}
#define HCONV_MAX_TENSORS 64
#define HCONV_MAX_RANK 6

/* A tensor by its dimensions' letters. Activations are "nchw" in that logical order whatever the layout word says (linear: "wc");
 * standard parameters are in state_dict order and need no letters (""); kernel tensors have the letters layouts use. */
typedef struct hconv_tensor {
    char name[48];
    int32_t role, rank, optional;
    char letters[HCONV_MAX_RANK + 2];
    int64_t extent[HCONV_MAX_RANK];
    double default_value;
    int32_t repeat; /* > 1: a file may hold 1 / repeat of the elements, which are then repeated as a whole */
} hconv_tensor;

typedef struct hconv_tensor_list {
    int count;
    hconv_tensor at[HCONV_MAX_TENSORS];
} hconv_tensor_list;

#define HCONV_FIELD(f) offsetof(hconv_problem, f)
#define HCONV_SIZE_MOST (1 << 30)
#define HCONV_PAD_MOST 65536

/* A key of the problem string: the fields it sets. */
typedef struct hconv_key {
    const char *name;
    int field_count;
    size_t field[4]; /* offsets of int32_t in hconv_problem */
    int32_t least, greatest;
} hconv_key;

/* Own words: a word that sets one field to a value ("fb" -> extra[2] = 1); a word for 0 says the default. */
typedef struct hconv_word {
    const char *name;
    size_t field;
    int32_t value;
} hconv_word;

typedef struct hconv_alias { /* names met in parameter files -> standard names */
    const char *from, *to;
} hconv_alias;

typedef struct hconv_family {
    const char *name;
    /* Defaults of everything a string may leave out (a field that is 0, except n, h, w), derived fields (pads of same,
     * groups of depthwise), the canonical variant, and the checks. Idempotent. */
    hconv_status (*complete)(hconv_problem *p, char *why, size_t why_bytes);
    /* Standard tensors in order: inputs, parameters, outputs. Open sizes come out as 0. */
    void (*tensors)(const hconv_problem *p, hconv_tensor_list *list);
    /* The parameter tensors the kernel reads (dense, logical order, letters set). */
    void (*kernel_tensors)(const hconv_problem *p, hconv_tensor_list *list);
    /* Standard parameters (in tensors() order, NULL = optional and absent) to kernel tensors (in kernel_tensors() order). */
    void (*fold)(const hconv_problem *p, const float *const *given, float *const *dense);
    double (*multiply_adds)(const hconv_problem *p);
    void (*receptive_field)(const hconv_problem *p, int *height, int *width);
    const hconv_alias *aliases; /* ended by {NULL, NULL} */
    const hconv_key *keys;      /* own keys and words, those that set extra[]; ended by a NULL name; may be NULL */
    const hconv_word *words;
    /* Parameters that must agree with the problem: the sentence says which does not. NULL: there are none. */
    hconv_status (*check_parameters)(const hconv_problem *p, const float *const *given, char *why, size_t why_bytes);
} hconv_family;

typedef struct hconv_variant {
    const char *name;
    const hconv_family *family;
    const char *keys, *words; /* as variants.def says */
    const char *about; /* one line for hconv list */
} hconv_variant;

extern const hconv_variant hconv_variants[HCONV_VARIANT_COUNT];

/* problem.c: the keys and words that more than one variant has; a line of variants.def says which. */
extern const hconv_key hconv_common_keys[];
extern const hconv_word hconv_common_words[];
/* The ways to spell a key whose fields may differ: "k", "kh kw", NULL; NULL where there is one way only. */
const char *const *hconv_key_spellings(const char *name, size_t length);
/* problem.c: everything a string may leave out, and every check; idempotent. */
hconv_status hconv_problem_complete(hconv_problem *p, char *why, size_t why_bytes);
const hconv_variant *hconv_variant_of(const hconv_problem *p);

/* Shared by the descriptors. */
void hconv_sentence(char *why, size_t why_bytes, const char *format, ...);
hconv_tensor *hconv_tensor_add(hconv_tensor_list *list, int role, const char *name, const char *letters, int rank,
                               const int64_t *extent);

#ifdef __cplusplus
}
#endif
#endif
