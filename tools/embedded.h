// embedded.h - the runtime's sources, carried inside the command so that it can write them beside a library it emits.
// SPDX-License-Identifier: MIT
// Made by cmake/Embed.cmake from LICENSE and all *.c, *.h and *.def files below runtime/.
#ifndef HCONV_TOOLS_EMBEDDED_H
#define HCONV_TOOLS_EMBEDDED_H

struct EmbeddedFile {
    const char *path;        // relative to runtime/: "plan.c", "include/hconv/hconv.h"; "LICENSE"
    const char *begin, *end; // *end is 0
};

extern const EmbeddedFile hconv_embedded_files[]; // sorted by path, LICENSE last
extern const int hconv_embedded_file_count;

#endif
