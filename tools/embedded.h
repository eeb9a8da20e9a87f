// embedded.h - files carried inside the command: the runtime's sources, which it writes beside a library it emits, and the
// tuned records.
// SPDX-License-Identifier: MIT
// Made by cmake/Embed.cmake from LICENSE and all *.c, *.h and *.def files below runtime/; from the *.jsonl files of schedules/tuned/.
#ifndef HCONV_TOOLS_EMBEDDED_H
#define HCONV_TOOLS_EMBEDDED_H

struct EmbeddedFile {
    const char *path;        // relative to the folder: "plan.c", "include/hconv/hconv.h"; "LICENSE"
    const char *begin, *end; // *end is 0
};

extern const EmbeddedFile hconv_embedded_files[]; // sorted by path, LICENSE last
extern const int hconv_embedded_file_count;
extern const EmbeddedFile hconv_tuned_files[]; // and LICENSE
extern const int hconv_tuned_file_count;

#endif
