/* plugin.c - a shared library that has hconv in it, of another version than the program's: nothing but plugin_check and
 * plugin_version is seen from outside.
 * SPDX-License-Identifier: MIT */
#include "check.h"

#include "two.h"

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int plugin_check(void);
EXPORTED unsigned plugin_version(void);

int plugin_check(void) {
    const hconv_library *libraries[1] = {&hconv_library_two};
    return check_library(libraries, 1, &of_two, 1);
}

unsigned plugin_version(void) { return hconv_version(); }
