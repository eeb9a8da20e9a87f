/* exec.c - the run program: tries and times the kernels of one linked table, wherever it is copied to.
 * SPDX-License-Identifier: MIT
 * program --list          one line of JSON a kernel
 * program JOBS            one line of JSON a job, as soon as it is done
 * program JOBS RESULTS    the same lines as one JSON array in the file RESULTS
 * A job is a line of key=value items, in any order, '#' begins a comment line:
 *   id=TEXT kernel=ROW problem=SIZES_ALL_KNOWN data=exact|random|FOLDER seed=N threads=N checks=bounds,repeat,workspace
 *   rounds=N limit=SECONDS output=FILE
 * FOLDER holds <tensor>.f32, dense float32 of this machine's byte order; FILE gets the outputs in the same form, one
 * behind the other, and the job's line their FNV-1a hash. */
#include "fill.h"
#include "trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const hconv_library *const hconv_exec_library; /* the table; a file of one line names it */

#define LINE_BYTES 4096

typedef struct job {
    const char *id, *problem, *data, *checks, *output;
    long kernel, threads, rounds, limit;
    unsigned long long seed;
} job;

/* The data of one job, and where its names point into. */
typedef struct loaded {
    hconv_problem problem;
    hconv_tensor_list list;
    float *data[HCONV_MAX_TENSORS];
} loaded;

static void put_text(FILE *to, const char *key, const char *text) {
    fprintf(to, "\"%s\":\"", key);
    for (; *text; ++text) {
        if (*text == '"' || *text == '\\') fputc('\\', to);
        if ((unsigned char)*text >= ' ') fputc(*text, to);
        else fputc(' ', to);
    }
    fputc('"', to);
}

static int list_kernels(void) {
    for (uint32_t i = 0; i < hconv_exec_library->kernel_count; ++i) {
        const hconv_kernel *k = &hconv_exec_library->kernels[i];
        printf("{\"kernel\":%lu,", (unsigned long)i);
        put_text(stdout, "symbol", k->symbol), putchar(',');
        put_text(stdout, "problem", k->problem), putchar(',');
        put_text(stdout, "target", k->target), putchar(',');
        put_text(stdout, "schedule", k->schedule), putchar(',');
        put_text(stdout, "isa", k->isa);
        printf(",\"min_h\":%ld,\"min_w\":%ld}\n", (long)k->min_h, (long)k->min_w);
    }
    return 0;
}

/* Splits the line in place. */
static int read_job(char *line, job *j, char *why, size_t why_bytes) {
    struct {
        const char *key;
        const char **text;
        long *number;
    } keys[] = {{"id", &j->id, NULL},         {"problem", &j->problem, NULL}, {"data", &j->data, NULL},
                {"checks", &j->checks, NULL}, {"output", &j->output, NULL},   {"kernel", NULL, &j->kernel},
                {"rounds", NULL, &j->rounds}, {"threads", NULL, &j->threads}, {"limit", NULL, &j->limit}};
    memset(j, 0, sizeof *j);
    j->id = "", j->data = "random", j->checks = "";
    for (char *item = strtok(line, " \t\r\n"); item; item = strtok(NULL, " \t\r\n")) {
        char *value = strchr(item, '=');
        size_t k = 0, count = sizeof keys / sizeof *keys;
        if (value) *value++ = 0;
        while (k < count && strcmp(keys[k].key, item)) ++k;
        if (!value || (k == count && strcmp(item, "seed"))) {
            hconv_sentence(why, why_bytes, "'%s' is no item of a job", item);
            return 0;
        }
        if (k == count) j->seed = strtoull(value, NULL, 10);
        else if (keys[k].text) *keys[k].text = value;
        else *keys[k].number = strtol(value, NULL, 10);
    }
    if (!j->problem || j->kernel < 0 || j->kernel >= (long)hconv_exec_library->kernel_count) {
        hconv_sentence(why, why_bytes, "a job needs a problem and a kernel below %lu",
                       (unsigned long)hconv_exec_library->kernel_count);
        return 0;
    }
    return 1;
}

static int read_floats(const char *folder, const hconv_tensor *t, float *to, char *why, size_t why_bytes) {
    char path[LINE_BYTES];
    size_t count = hconv_tensor_elements(t), got;
    FILE *file;
    snprintf(path, sizeof path, "%s/%s.f32", folder, t->name);
    file = fopen(path, "rb");
    if (!file) {
        if (t->optional && errno == ENOENT) return 0;
        hconv_sentence(why, why_bytes, "%s: %s", path, strerror(errno));
        return -1;
    }
    got = fread(to, sizeof *to, count, file);
    if (got == count && fgetc(file) != EOF) ++got;
    fclose(file);
    if (got == count) return 1;
    hconv_sentence(why, why_bytes, "%s has not the %lu floats of %s", path, (unsigned long)count, t->name);
    return -1;
}

static int load(const job *j, loaded *l, char *why, size_t why_bytes) {
    int exact = !strcmp(j->data, "exact"), random = !strcmp(j->data, "random");
    memset(l, 0, sizeof *l);
    if (hconv_problem_parse(j->problem, &l->problem, why, why_bytes)) return 0;
    if (l->problem.n == HCONV_OPEN || l->problem.h == HCONV_OPEN || l->problem.w == HCONV_OPEN) {
        hconv_sentence(why, why_bytes, "%s: a job needs every size", j->problem);
        return 0;
    }
    hconv_variant_of(&l->problem)->family->tensors(&l->problem, &l->list);
    for (int i = 0; i < l->list.count; ++i) {
        const hconv_tensor *t = &l->list.at[i];
        hconv_fill_kind kind = exact ? HCONV_FILL_EXACT : HCONV_FILL_RANDOM;
        int got = 1;
        if (t->role == HCONV_OUTPUT || ((exact || random) && hconv_fill_absent(t, kind, j->seed))) continue;
        l->data[i] = (float *)malloc(hconv_tensor_elements(t) * sizeof(float));
        if (!l->data[i]) {
            hconv_sentence(why, why_bytes, "no memory for %s", t->name);
            return 0;
        }
        if (exact || random) hconv_fill(&l->problem, t, kind, j->seed, l->data[i]);
        else got = read_floats(j->data, t, l->data[i], why, why_bytes);
        if (got < 0) return 0;
        if (!got) free(l->data[i]), l->data[i] = NULL;
    }
    return 1;
}

static unsigned long long fnv1a(const unsigned char *bytes, size_t count) {
    unsigned long long hash = 14695981039346656037ull;
    for (size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * 1099511628211ull & 0xffffffffffffffffull;
    return hash;
}

static int write_output(const hconv_trial_result *r, const char *path, char *why, size_t why_bytes) {
    FILE *file = fopen(path, "wb");
    size_t wrote = file ? fwrite(r->output, 1, r->output_bytes, file) : 0;
    if (file && !fclose(file) && wrote == r->output_bytes) return 1;
    hconv_sentence(why, why_bytes, "%s cannot be written: %s", path, strerror(errno));
    return 0;
}

static void report(FILE *to, const job *j, hconv_outcome outcome, const char *why, const hconv_trial_result *r) {
    static const char *const names[] = {"passed", "failed", "skipped"};
    const hconv_kernel *k = &hconv_exec_library->kernels[j->kernel];
    fputc('{', to);
    put_text(to, "id", j->id), fputc(',', to);
    put_text(to, "problem", j->problem ? j->problem : ""), fputc(',', to);
    put_text(to, "target", k->target), fputc(',', to);
    put_text(to, "schedule", k->schedule), fputc(',', to);
    put_text(to, "isa", k->isa), fputc(',', to);
    put_text(to, "outcome", names[outcome]), fputc(',', to);
    put_text(to, "why", why);
    if (r)
        fprintf(to,
                ",\"workspace_bytes\":%lu,\"packed_bytes\":%lu,\"flops\":%.0f,\"bytes_moved\":%.0f,\"median_ns\":%.1f,"
                "\"min_ns\":%.1f,\"rounds\":%d",
                (unsigned long)r->workspace_bytes, (unsigned long)r->packed_bytes, r->flops, r->bytes_moved,
                r->median_ns, r->min_ns, r->rounds);
    if (r && j->output)
        fprintf(to, ",\"output\":\"%016llx\"", fnv1a((const unsigned char *)r->output, r->output_bytes));
    fprintf(to, "}\n");
    fflush(to);
}

static void run_job(char *line, FILE *results) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_trial_result *r = NULL;
    hconv_outcome outcome = HCONV_FAILED;
    loaded l;
    hconv_trial t;
    job j;
    memset(&l, 0, sizeof l);
    memset(&t, 0, sizeof t);
    if (read_job(line, &j, why, sizeof why) && load(&j, &l, why, sizeof why)) {
        t.kernel = &hconv_exec_library->kernels[j.kernel];
        t.problem = &l.problem, t.data = (const float *const *)l.data;
        t.threads = (int)j.threads, t.rounds = (int)j.rounds, t.limit_seconds = (int)j.limit;
        if (strstr(j.checks, "bounds")) t.checks |= HCONV_TRIAL_BOUNDS;
        if (strstr(j.checks, "repeat")) t.checks |= HCONV_TRIAL_REPEAT;
        if (strstr(j.checks, "workspace")) t.checks |= HCONV_TRIAL_WORKSPACE;
        r = hconv_trial_run(&t);
        if (r) outcome = r->outcome, hconv_sentence(why, sizeof why, "%s", r->sentence);
        else hconv_sentence(why, sizeof why, "no memory for the outputs");
        if (r && j.output && outcome == HCONV_PASSED && !write_output(r, j.output, why, sizeof why))
            outcome = HCONV_FAILED;
    }
    if (j.kernel < 0 || j.kernel >= (long)hconv_exec_library->kernel_count) j.kernel = 0;
    report(results, &j, outcome, why, r);
    hconv_trial_free(r);
    for (int i = 0; i < l.list.count; ++i) free(l.data[i]);
}

int main(int argc, char **argv) {
    char line[LINE_BYTES];
    const char *before;
    FILE *jobs, *results = stdout;
    if (argc == 2 && !strcmp(argv[1], "--list")) return list_kernels();
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s --list | JOBS [RESULTS]; the jobs are described in exec.c\n", argv[0]);
        return 2;
    }
    jobs = fopen(argv[1], "r");
    if (jobs && argc == 3) results = fopen(argv[2], "w");
    if (!jobs || !results) {
        fprintf(stderr, "%s: %s\n", argv[jobs ? 2 : 1], strerror(errno));
        return 2;
    }
    before = argc == 3 ? "[" : "";
    while (fgets(line, sizeof line, jobs))
        if (line[0] != '#' && line[strspn(line, " \t\r\n")]) {
            fputs(before, results);
            run_job(line, results);
            before = argc == 3 ? "," : "";
        }
    if (argc == 3) fputs(*before == '[' ? "[]\n" : "]\n", results);
    fclose(jobs);
    return fclose(results) ? 2 : 0;
}
