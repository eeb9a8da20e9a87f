/* problem.c - the only parser of problem strings, the only printer, and the checks that hold for every variant.
 * SPDX-License-Identifier: MIT
 * problem = variant { "_" item }   item = word | { key value }   value = integer | "?" (n, h, w) */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELD HCONV_FIELD
#define SIZE_MOST HCONV_SIZE_MOST

const hconv_key hconv_common_keys[] = {
    {"n", 1, {FIELD(n)}, 1, SIZE_MOST},
    {"ci", 1, {FIELD(ci)}, 1, SIZE_MOST},
    {"h", 1, {FIELD(h)}, 1, SIZE_MOST},
    {"w", 1, {FIELD(w)}, 1, SIZE_MOST},
    {"co", 1, {FIELD(co)}, 1, SIZE_MOST},
    {"k", 2, {FIELD(kh), FIELD(kw)}, 1, 65536},
    {"kh", 1, {FIELD(kh)}, 1, 65536},
    {"kw", 1, {FIELD(kw)}, 1, 65536},
    {"s", 2, {FIELD(stride_h), FIELD(stride_w)}, 1, 65536},
    {"sh", 1, {FIELD(stride_h)}, 1, 65536},
    {"sw", 1, {FIELD(stride_w)}, 1, 65536},
    {"d", 2, {FIELD(dilation_h), FIELD(dilation_w)}, 1, 65536},
    {"dh", 1, {FIELD(dilation_h)}, 1, 65536},
    {"dw", 1, {FIELD(dilation_w)}, 1, 65536},
    {"p", 4, {FIELD(pad_top), FIELD(pad_bottom), FIELD(pad_left), FIELD(pad_right)}, 0, HCONV_PAD_MOST},
    {"ph", 2, {FIELD(pad_top), FIELD(pad_bottom)}, 0, HCONV_PAD_MOST},
    {"pw", 2, {FIELD(pad_left), FIELD(pad_right)}, 0, HCONV_PAD_MOST},
    {"pt", 1, {FIELD(pad_top)}, 0, HCONV_PAD_MOST},
    {"pb", 1, {FIELD(pad_bottom)}, 0, HCONV_PAD_MOST},
    {"pl", 1, {FIELD(pad_left)}, 0, HCONV_PAD_MOST},
    {"pr", 1, {FIELD(pad_right)}, 0, HCONV_PAD_MOST},
    {"g", 1, {FIELD(groups)}, 1, SIZE_MOST},
    {"op", 2, {FIELD(out_pad_h), FIELD(out_pad_w)}, 0, HCONV_PAD_MOST},
    {"oph", 1, {FIELD(out_pad_h)}, 0, HCONV_PAD_MOST},
    {"opw", 1, {FIELD(out_pad_w)}, 0, HCONV_PAD_MOST},
    HCONV_KEY_END,
};

/* Spellings of a group of keys, the shortest first; a group not named here is spelt by its one key. */
static const char *const spellings[][4] = {
    {"k", "kh kw", NULL},
    {"s", "sh sw", NULL},
    {"d", "dh dw", NULL},
    {"p", "ph pw", "pt pb pl pr", NULL},
    {"op", "oph opw", NULL},
};

const hconv_word hconv_common_words[] = {
    {"same", FIELD(same), HCONV_PAD_SAME},
    {"tfsame", FIELD(same), HCONV_PAD_TFSAME},
    {"nchw", FIELD(layout), HCONV_NCHW},
    {"nobias", FIELD(flags), HCONV_NO_BIAS},
    {"bn", FIELD(flags), HCONV_NORM},
    {"res", FIELD(flags), HCONV_RESIDUAL},
    {"relu", FIELD(activation), HCONV_RELU},
    {"relu6", FIELD(activation), HCONV_RELU6},
    {"leaky", FIELD(activation), HCONV_LEAKY},
    {"prelu", FIELD(activation), HCONV_PRELU},
    {"silu", FIELD(activation), HCONV_SILU},
    {"hardswish", FIELD(activation), HCONV_HARDSWISH},
    {"hardsigmoid", FIELD(activation), HCONV_HARDSIGMOID},
    {"gelu", FIELD(activation), HCONV_GELU},
    {"gelutanh", FIELD(activation), HCONV_GELUTANH},
    {"sigmoid", FIELD(activation), HCONV_SIGMOID},
    {"tanh", FIELD(activation), HCONV_TANH},
    {"fast", FIELD(flags), HCONV_FAST},
    HCONV_WORD_END,
};
static const hconv_key no_keys[] = {HCONV_KEY_END};
static const hconv_word no_words[] = {HCONV_WORD_END};

/* The variant's own keys and words, then the common ones. */
typedef struct tokens { const hconv_key *keys[2]; const hconv_word *words[2]; } tokens;

static tokens tokens_of(const hconv_variant *v) {
    tokens t;
    t.keys[0] = v->family->keys ? v->family->keys : no_keys, t.keys[1] = hconv_common_keys;
    t.words[0] = v->family->words ? v->family->words : no_words, t.words[1] = hconv_common_words;
    return t;
}
#define EACH_KEY(key, t) \
    for (int part_ = 0; part_ < 2; ++part_) \
        for (const hconv_key *key = (t).keys[part_]; key->name; ++key)
#define EACH_WORD(word, t) \
    for (int part_ = 0; part_ < 2; ++part_) \
        for (const hconv_word *word = (t).words[part_]; word->name; ++word)

void hconv_sentence(char *why, size_t why_bytes, const char *format, ...) {
    va_list args;
    if (!why || !why_bytes) return;
    va_start(args, format);
    vsnprintf(why, why_bytes, format, args);
    va_end(args);
}

static int32_t *field(hconv_problem *p, size_t offset) { return (int32_t *)((char *)p + offset); }

/* Is name one of the space-separated items of list? An item may carry "=default", returned through def; "db*" stands for
 * all names that begin with db. */
static int listed(const char *list, const char *name, size_t length, const char **def) {
    while (*list) {
        size_t item = strcspn(list, " "), stem = strcspn(list, " ="), same = stem;
        int prefix = stem > 0 && list[stem - 1] == '*';
        if (prefix) --same;
        if ((prefix ? same <= length : same == length) && !memcmp(list, name, same)) {
            if (def) *def = list[stem] == '=' ? list + stem + 1 : NULL;
            return 1;
        }
        list += item + (list[item] == ' ');
    }
    return 0;
}

const char *const *hconv_key_spellings(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; ++i)
        if (strlen(spellings[i][0]) == length && !memcmp(spellings[i][0], name, length)) return spellings[i];
    return NULL;
}

static const hconv_key *find_key(const hconv_variant *v, const char *name, size_t length) {
    EACH_KEY(key, tokens_of(v))
        if (strlen(key->name) == length && !memcmp(key->name, name, length)) return key;
    return NULL;
}

/* Fields of a problem as a set: a bit for each of its int32. */
static uint64_t field_bit(size_t offset) { return (uint64_t)1 << (offset / sizeof(int32_t)); }

/* The fields that the variant's keys set; a key that sets only such fields is one of the variant's, or spells one. */
static uint64_t fields_of_keys(const hconv_variant *v) {
    uint64_t fields = 0;
    for (const char *at = v->keys; *at; at += strcspn(at, " "), at += *at == ' ') {
        const hconv_key *key = find_key(v, at, strcspn(at, " ="));
        for (int i = 0; key && i < key->field_count; ++i) fields |= field_bit(key->field[i]);
    }
    return fields;
}

static int key_allowed(uint64_t fields, const hconv_key *key) {
    for (int i = 0; i < key->field_count; ++i)
        if (!(fields & field_bit(key->field[i]))) return 0;
    return 1;
}

static int is_activation(const hconv_word *w) { return w->field == FIELD(activation); }

static int word_allowed(const hconv_variant *v, const hconv_word *w) {
    return is_activation(w) ? listed(v->words, "act", 3, NULL) : listed(v->words, w->name, strlen(w->name), NULL);
}

static int distance(const char *a, size_t la, const char *b) {
    int row[64];
    size_t lb = strlen(b);
    if (la > 60 || lb > 60) return 1000;
    for (size_t j = 0; j <= lb; ++j) row[j] = (int)j;
    for (size_t i = 1; i <= la; ++i) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; ++j) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[lb];
}

static void unknown_token(const hconv_variant *v, const char *token, size_t length, char *why, size_t why_bytes) {
    const char *nearest = "";
    int best = 1000;
    const uint64_t fields = fields_of_keys(v);
    size_t stem = 0;
    while (stem < length && (token[stem] < '0' || token[stem] > '9') && token[stem] != '?') ++stem;
    EACH_KEY(key, tokens_of(v))
        if (key_allowed(fields, key) && distance(token, stem, key->name) < best)
            best = distance(token, stem, key->name), nearest = key->name;
    EACH_WORD(word, tokens_of(v))
        if (word_allowed(v, word) && distance(token, length, word->name) < best)
            best = distance(token, length, word->name), nearest = word->name;
    hconv_sentence(why, why_bytes, "'%.*s' is no key with a value and no word of %s; nearest: '%s'; keys: %s; words: %s",
                   (int)(length > 40 ? 40 : length), token, v->name, nearest, v->keys, v->words);
}

static hconv_status refuse_variant(const char *name, size_t length, char *why, size_t why_bytes) {
    const hconv_variant *nearest = &hconv_variants[0];
    for (int i = 1; i < HCONV_VARIANT_COUNT; ++i)
        if (distance(name, length, hconv_variants[i].name) < distance(name, length, nearest->name))
            nearest = &hconv_variants[i];
    hconv_sentence(why, why_bytes, "'%.*s' is no variant; nearest: '%s' (hconv list names them all)",
                   (int)(length > 40 ? 40 : length), name, nearest->name);
    return HCONV_INVALID_ARGUMENT;
}

/* Fields already set by an item. */
static int mark(uint64_t *seen, size_t offset) {
    int before = (*seen & field_bit(offset)) != 0;
    *seen |= field_bit(offset);
    return before;
}

static hconv_status set_key(hconv_problem *p, const hconv_key *key, int open, int64_t value, uint64_t *seen, char *why,
                            size_t why_bytes) {
    int may_open = key->field[0] == FIELD(n) || key->field[0] == FIELD(h) || key->field[0] == FIELD(w);
    if (open && !may_open) {
        hconv_sentence(why, why_bytes, "'%s?': only n, h and w can be left open", key->name);
        return HCONV_INVALID_ARGUMENT;
    }
    if (!open && (value < key->least || value > key->greatest)) {
        hconv_sentence(why, why_bytes, "%s is %lld; it must be %d to %d", key->name, (long long)value, (int)key->least,
                       (int)key->greatest);
        return HCONV_INVALID_ARGUMENT;
    }
    for (int i = 0; i < key->field_count; ++i) {
        if (mark(seen, key->field[i])) {
            hconv_sentence(why, why_bytes, "'%s' is given twice", key->name);
            return HCONV_INVALID_ARGUMENT;
        }
        *field(p, key->field[i]) = open ? HCONV_OPEN : (int32_t)value;
    }
    return HCONV_OK;
}

static hconv_status set_word(hconv_problem *p, const hconv_word *word, uint64_t *flags_seen, uint64_t *seen, char *why,
                             size_t why_bytes) {
    int again;
    if (word->field == FIELD(flags)) {
        again = (*flags_seen & (uint64_t)word->value) != 0;
        *flags_seen |= (uint64_t)word->value;
        p->flags |= (uint32_t)word->value;
    } else {
        again = mark(seen, word->field);
        *field(p, word->field) = word->value;
    }
    if (again) {
        hconv_sentence(why, why_bytes, "'%s': %s", word->name,
                       is_activation(word) ? "only one activation can be given"
                                           : "given twice, or together with a word that excludes it");
        return HCONV_INVALID_ARGUMENT;
    }
    return HCONV_OK;
}

static hconv_status read_pairs(const hconv_variant *v, hconv_problem *p, const char *token, size_t length,
                               uint64_t *seen, char *why, size_t why_bytes) {
    const uint64_t fields = fields_of_keys(v);
    size_t at = 0;
    while (at < length) {
        size_t start = at;
        int64_t value = 0;
        int open = 0, digits = 0;
        const hconv_key *key;
        hconv_status status;
        while (at < length && token[at] >= 'a' && token[at] <= 'z') ++at;
        key = find_key(v, token + start, at - start);
        if (!key || !key_allowed(fields, key)) break;
        if (at < length && token[at] == '?') {
            open = 1, ++at;
        } else {
            for (; at < length && token[at] >= '0' && token[at] <= '9'; ++at, ++digits)
                if (value < ((int64_t)1 << 40)) value = value * 10 + (token[at] - '0');
            if (!digits) break;
        }
        status = set_key(p, key, open, value, seen, why, why_bytes);
        if (status) return status;
        if (at == length) return HCONV_OK;
    }
    unknown_token(v, token, length, why, why_bytes);
    return HCONV_INVALID_ARGUMENT;
}

/* n, h and w: 0 means open, so it is the parser, not complete(), that fills in what was left out. */
static hconv_status fill_sizes(const hconv_variant *v, hconv_problem *p, uint64_t seen, char *why, size_t why_bytes) {
    static const struct { const char *name; size_t at; } sizes[] = {{"h", FIELD(h)}, {"w", FIELD(w)}};
    const char *def;
    for (int i = 0; i < 2; ++i)
        if (listed(v->keys, sizes[i].name, 1, &def) && !def && !(seen & field_bit(sizes[i].at))) {
            hconv_sentence(why, why_bytes, "%s needs the key %s (for example %s56; %s? leaves it open)", v->name,
                           sizes[i].name, sizes[i].name, sizes[i].name);
            return HCONV_INVALID_ARGUMENT;
        }
    if (listed(v->keys, "w", 1, &def) && def && *def == 'h' && !(seen & field_bit(FIELD(w)))) p->w = p->h;
    if (!(seen & field_bit(FIELD(n)))) p->n = 1;
    return HCONV_OK;
}

/* Every size of the problem inside what its key allows; complete() does the rest. */
static hconv_status check_ranges(const hconv_variant *v, uint64_t fields, const hconv_problem *p, char *why,
                                 size_t why_bytes) {
    EACH_KEY(key, tokens_of(v)) {
        int32_t value = *(const int32_t *)((const char *)p + key->field[0]);
        if (key->field_count > 1 || !key_allowed(fields, key)) continue;
        if (value < 0 || value > key->greatest) {
            hconv_sentence(why, why_bytes, "%s is %d; it must be %d to %d", key->name, (int)value, (int)key->least,
                           (int)key->greatest);
            return HCONV_INVALID_ARGUMENT;
        }
    }
    return HCONV_OK;
}

static int word_sets(const hconv_variant *v, size_t offset, int32_t value) {
    EACH_WORD(word, tokens_of(v))
        if (word->field == offset && word->value == value && word_allowed(v, word)) return 1;
    return 0;
}

/* What no key or word says is complete()'s: such a field may be given as 0, or as what complete() makes of it. */
static hconv_status complete_family(const hconv_variant *v, uint64_t fields, hconv_problem *p, char *why,
                                    size_t why_bytes) {
    hconv_problem given = *p;
    hconv_status status;
    for (size_t at = FIELD(layout); at < sizeof *p; at += sizeof(int32_t)) {
        int32_t value = *field(&given, at);
        if (!value || at == FIELD(flags) || (fields & field_bit(at)) || word_sets(v, at, value)) *field(&given, at) = 0;
        else *field(p, at) = 0;
    }
    status = v->family->complete(p, why, why_bytes);
    for (size_t at = FIELD(layout); !status && at < sizeof *p; at += sizeof(int32_t)) {
        const char *name = at == FIELD(same) ? "same" : "";
        int32_t value = *field(&given, at);
        if (!value || value == *field(p, at)) continue;
        for (const hconv_key *key = hconv_common_keys; key->name; ++key)
            if (key->field_count == 1 && key->field[0] == at) name = key->name;
        hconv_sentence(why, why_bytes, "field %d (%s) of hconv_problem is %d, which no key or word of %s says; set it to 0",
                       (int)(at / sizeof(int32_t)), name, (int)value, v->name);
        status = HCONV_INVALID_ARGUMENT;
    }
    return status;
}

static hconv_status check_bytes(const hconv_tensor_list *list, char *why, size_t why_bytes) {
    for (int i = 0; i < list->count; ++i) {
        double bytes = 4;
        for (int d = 0; d < list->at[i].rank; ++d) bytes *= (double)list->at[i].extent[d];
        if (bytes > 2147483647.0) {
            hconv_sentence(why, why_bytes, "tensor %s would take %.0f bytes; a tensor must stay under 2^31 bytes",
                           list->at[i].name, bytes);
            return HCONV_INVALID_ARGUMENT;
        }
    }
    return HCONV_OK;
}

hconv_status hconv_problem_complete(hconv_problem *p, char *why, size_t why_bytes) {
    const hconv_variant *v;
    hconv_tensor_list list;
    hconv_status status;
    uint64_t fields;
    if (p->variant < 0 || p->variant >= HCONV_VARIANT_COUNT) {
        hconv_sentence(why, why_bytes, "variant %d does not exist; there are %d", (int)p->variant, HCONV_VARIANT_COUNT);
        return HCONV_INVALID_ARGUMENT;
    }
    v = &hconv_variants[p->variant];
    p->struct_size = sizeof *p;
    if (p->dtype != HCONV_F32 || p->layout < 0 || p->layout > HCONV_NCHW || p->activation < 0 ||
        p->activation > HCONV_TANH || p->mid_activation < 0 || p->mid_activation > HCONV_TANH || p->same < 0 ||
        p->same > HCONV_PAD_TFSAME || p->flags & ~(uint32_t)(HCONV_NO_BIAS | HCONV_NORM | HCONV_RESIDUAL | HCONV_FAST)) {
        hconv_sentence(why, why_bytes, "dtype, layout, activation, same or flags of the problem has no such value");
        return HCONV_INVALID_ARGUMENT;
    }
    fields = fields_of_keys(v);
    status = check_ranges(v, fields, p, why, why_bytes);
    if (!status) status = complete_family(v, fields, p, why, why_bytes);
    if (status) return status;
    hconv_variants[p->variant].family->tensors(p, &list);
    status = check_bytes(&list, why, why_bytes);
    if (status) return status;
    hconv_variants[p->variant].family->kernel_tensors(p, &list);
    return check_bytes(&list, why, why_bytes);
}

hconv_status hconv_problem_parse(const char *text, hconv_problem *out, char *why, size_t why_bytes) {
    hconv_problem p;
    const hconv_variant *v = NULL;
    const char *rest;
    uint64_t seen = 0, flags_seen = 0;
    size_t name = 0;
    hconv_status status;
    if (!text || !out) {
        hconv_sentence(why, why_bytes, "hconv_problem_parse needs a text and a place for the result");
        return HCONV_INVALID_ARGUMENT;
    }
    memset(&p, 0, sizeof p);
    /* Variant names may hold '_' : the longest name that the text begins with wins. */
    for (int i = 0; i < HCONV_VARIANT_COUNT; ++i) {
        size_t length = strlen(hconv_variants[i].name);
        if (!strncmp(text, hconv_variants[i].name, length) && (text[length] == '_' || !text[length]) && length > name)
            name = length, v = &hconv_variants[i];
    }
    if (!v) return refuse_variant(text, strcspn(text, "_"), why, why_bytes);
    p.variant = (int32_t)(v - hconv_variants);
    for (rest = text + name; *rest;) {
        const char *token = ++rest;
        size_t length = strcspn(token, "_");
        const hconv_word *word = NULL;
        rest += length;
        if (length == 3 && !memcmp(token, "f32", 3)) continue;
        EACH_WORD(each, tokens_of(v))
            if (strlen(each->name) == length && !memcmp(each->name, token, length)) word = each;
        if ((length == 3 && (!memcmp(token, "f16", 3))) || (length == 4 && !memcmp(token, "bf16", 4)) ||
            (length == 2 && !memcmp(token, "i8", 2))) {
            hconv_sentence(why, why_bytes, "'%.*s' is reserved; only f32 is there yet", (int)length, token);
            return HCONV_INVALID_ARGUMENT;
        }
        if (!length) {
            hconv_sentence(why, why_bytes, "an item is empty: '_' is followed by nothing");
            return HCONV_INVALID_ARGUMENT;
        }
        if (word && word_allowed(v, word))
            status = set_word(&p, word, &flags_seen, &seen, why, why_bytes);
        else
            status = read_pairs(v, &p, token, length, &seen, why, why_bytes);
        if (status) return status;
    }
    status = fill_sizes(v, &p, seen, why, why_bytes);
    if (!status) status = hconv_problem_complete(&p, why, why_bytes);
    if (!status) *out = p;
    return status;
}

typedef struct text { char *at; size_t left; int full; } text;

static void put(text *t, const char *format, ...) {
    va_list args;
    int wrote;
    va_start(args, format);
    wrote = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (wrote < 0 || (size_t)wrote >= t->left) t->full = 1;
    else t->at += wrote, t->left -= (size_t)wrote;
}

/* Would the string without this key mean the same problem? */
static int is_default(const hconv_problem *p, const hconv_key *key, const char *def) {
    const hconv_variant *v = hconv_variant_of(p);
    int32_t value = *field((hconv_problem *)p, key->field[0]);
    if (!def) return 0;
    if (*def == '*') {
        hconv_problem without = *p;
        *field(&without, key->field[0]) = 0;
        return !hconv_problem_complete(&without, NULL, 0) && *field(&without, key->field[0]) == value;
    }
    if (*def >= '0' && *def <= '9') return value == *def - '0';
    {
        const hconv_key *other = find_key(v, def, strcspn(def, " "));
        return other && value == *field((hconv_problem *)p, other->field[0]);
    }
}

static void put_group(text *t, const hconv_problem *p, const char *name, size_t length, const char *def) {
    const hconv_variant *v = hconv_variant_of(p);
    const char *single[2] = {NULL, NULL}, *const *spelt = hconv_key_spellings(name, length);
    char own[16];
    if (!spelt) {
        if (length >= sizeof own) return;
        memcpy(own, name, length), own[length] = 0;
        single[0] = own, spelt = single;
    }
    for (; *spelt; ++spelt) {
        int uniform = 1;
        for (const char *at = *spelt; *at; at += strcspn(at, " "), at += *at == ' ') {
            const hconv_key *key = find_key(v, at, strcspn(at, " "));
            for (int i = 1; i < key->field_count; ++i)
                uniform &= *field((hconv_problem *)p, key->field[i]) == *field((hconv_problem *)p, key->field[0]);
        }
        if (!uniform) continue;
        for (const char *at = *spelt; *at; at += strcspn(at, " "), at += *at == ' ') {
            const hconv_key *key = find_key(v, at, strcspn(at, " "));
            int32_t value = *field((hconv_problem *)p, key->field[0]);
            if (is_default(p, key, def)) continue;
            if (value == HCONV_OPEN && key->least > 0) put(t, "_%s?", key->name);
            else put(t, "_%s%d", key->name, (int)value);
        }
        return;
    }
}

hconv_status hconv_problem_format(const hconv_problem *given, char *buf, size_t bytes) {
    hconv_problem copy;
    const hconv_problem *p = &copy;
    const hconv_variant *v;
    text t = {buf, bytes, 0};
    if (!given || !buf || !bytes || hconv_struct_read(&hconv_struct_of_problem, given, &copy, NULL, 0))
        return HCONV_INVALID_ARGUMENT;
    buf[0] = 0;
    if (hconv_problem_complete(&copy, NULL, 0)) return HCONV_INVALID_ARGUMENT;
    v = &hconv_variants[p->variant];
    put(&t, "%s", v->name);
    for (const char *at = v->keys; *at; at += strcspn(at, " "), at += *at == ' ') {
        const char *def = NULL;
        size_t stem = strcspn(at, " =");
        if (at[stem] == '=') def = at + stem + 1;
        put_group(&t, p, at, stem, def);
    }
    EACH_WORD(w, tokens_of(v)) {
        int32_t value = *field((hconv_problem *)p, w->field);
        if (w->value && word_allowed(v, w) && (w->field == FIELD(flags) ? (value & w->value) != 0 : value == w->value))
            put(&t, "_%s", w->name);
    }
    return t.full ? HCONV_INVALID_ARGUMENT : HCONV_OK;
}

hconv_tensor *hconv_tensor_add(hconv_tensor_list *list, int role, const char *name, const char *letters, int rank,
                               const int64_t *extent) {
    hconv_tensor *t = &list->at[list->count++];
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->letters, sizeof t->letters, "%s", letters);
    t->role = role;
    t->rank = rank;
    for (int i = 0; i < rank; ++i) t->extent[i] = extent[i];
    return t;
}

const hconv_variant *hconv_variant_of(const hconv_problem *p) { return &hconv_variants[p->variant]; }
