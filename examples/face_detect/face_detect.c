/* face_detect.c - finds faces in a PNG with MTCNN, whose layers hconv compiled into the library face_detect.
 * SPDX-License-Identifier: MIT */
#include "detect.h"
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *photo, *output, *weights, *isa;
    int threads;
} options;

static const char usage[] =
    "usage: face_detect [--weights FILE] [--threads N] [--isa LEVEL] PHOTO.png [-o OUT.png]\n"
    "\n"
    "Finds the faces of 20 pixels and more in a PNG; prints box, landmarks, confidence and the time of each stage.\n"
    "\n"
    "  -o, --output OUT.png  write the photo with boxes and landmarks drawn on it\n"
    "  --weights FILE        the file convert_weights.py made (default: face_detect.weights)\n"
    "  --threads N           at most N threads (default: all cores)\n"
    "  --isa LEVEL           sse41, avx2 or avx512 instead of the best this machine has\n"
    "\n"
    "Exit status: 0 = done, with or without a face; 1 = something failed; 2 = wrong use.\n"
    "example: face_detect --weights face_detect.weights photo.png -o faces.png\n";

static void misuse(const char *sentence, const char *what) {
    fprintf(stderr, "face_detect: ");
    fprintf(stderr, sentence, what);
    fprintf(stderr, "; try: face_detect --help\n");
    exit(2);
}

static int thread_number(const char *text) {
    char *end;
    long value;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > 1024)
        misuse("--threads takes a number from 1 to 1024, not '%s'", text);
    return (int)value;
}

static options read_options(int argc, char **argv) {
    options o = {NULL, NULL, "face_detect.weights", NULL, 0};
    for (int i = 1; i < argc; ++i) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (word[0] != '-' || !word[1]) {
            if (o.photo) misuse("one photo at a time: '%s' is the second", word);
            o.photo = word;
            continue;
        }
        if (strcmp(word, "-o") && strcmp(word, "--output") && strcmp(word, "--weights") && strcmp(word, "--threads") &&
            strcmp(word, "--isa"))
            misuse("there is no option '%s'", word);
        if (!value) misuse("'%s' needs a value", word);
        if (!strcmp(word, "--weights")) o.weights = value;
        else if (!strcmp(word, "--threads")) o.threads = thread_number(value);
        else if (!strcmp(word, "--isa")) o.isa = value;
        else o.output = value;
        ++i;
    }
    if (!o.photo) misuse("%s is missing", "the photo");
    return o;
}

static void print_face(const box *b, size_t number) {
    static const char *const names[LANDMARKS] = {"left eye", "right eye", "nose", "mouth left", "mouth right"};
    printf("face %lu: box x %.1f y %.1f width %.1f height %.1f, confidence %.6f\n", (unsigned long)number, b->x1, b->y1,
           b->x2 - b->x1, b->y2 - b->y1, b->score);
    for (int i = 0; i < LANDMARKS; ++i) printf("  %-11s x %.1f y %.1f\n", names[i], b->landmark_x[i], b->landmark_y[i]);
}

typedef void (*stage)(nets *n, const image *picture, box_list *boxes);

static void run_stage(stage run, const char *name, nets *n, const image *picture, box_list *boxes) {
    work before = nets_work(n), after;
    size_t given = boxes->count;
    double start = seconds(), whole, inside;
    run(n, picture, boxes);
    whole = seconds() - start;
    after = nets_work(n);
    inside = after.seconds - before.seconds;
    printf("%-6s %4lu boxes in, %3lu out: %8.2f ms; %8.2f ms in %2ld hconv runs (%.1f GFLOP/s), %.2f ms packing\n",
           name, (unsigned long)given, (unsigned long)boxes->count, 1e3 * whole, 1e3 * inside, after.runs - before.runs,
           inside > 0 ? 1e-9 * (after.flops - before.flops) / inside : 0, 1e3 * (after.packing - before.packing));
}

int main(int argc, char **argv) {
    options o = read_options(argc, argv);
    double start = seconds(), loaded;
    image picture;
    weights w;
    nets *n;
    box_list faces = {0};
    weights_read(&w, o.weights);
    image_read_file(&picture, o.photo);
    n = nets_create(&w, o.threads, o.isa);
    loaded = seconds();
    printf("%s: %d x %d, %d levels in the pyramid; reading it and the weights: %.2f ms\n", o.photo, picture.width,
           picture.height, pyramid_levels(&picture), 1e3 * (loaded - start));
    run_stage(propose, "P-Net", n, &picture, &faces);
    run_stage(refine, "R-Net", n, &picture, &faces);
    run_stage(decide, "O-Net", n, &picture, &faces);
    printf("all stages: %.2f ms\n", 1e3 * (seconds() - loaded));
    for (size_t i = 0; i < faces.count; ++i) print_face(&faces.at[i], i + 1);
    if (!faces.count) printf("no face found\n");
    if (o.output) {
        for (size_t i = 0; i < faces.count; ++i) image_draw_face(&picture, &faces.at[i]);
        image_write_file(&picture, o.output);
        printf("wrote %s\n", o.output);
    }
    nets_destroy(n);
    boxes_free(&faces);
    image_free(&picture);
    weights_free(&w);
    return 0;
}
