# HCONV_VERSION: major.minor.patch, from the one place that has it, the number in the public header.
# SPDX-License-Identifier: MIT
set(hconv_header ${CMAKE_CURRENT_LIST_DIR}/../runtime/include/hconv/hconv.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${hconv_header})
file(STRINGS ${hconv_header} hconv_line REGEX "^#define HCONV_VERSION [0-9]+")
if(NOT hconv_line MATCHES "HCONV_VERSION ([0-9]+)")
    message(FATAL_ERROR "${hconv_header} defines no HCONV_VERSION.")
endif()
math(EXPR hconv_major "${CMAKE_MATCH_1} / 1000000")
math(EXPR hconv_minor "${CMAKE_MATCH_1} / 1000 % 1000")
math(EXPR hconv_patch "${CMAKE_MATCH_1} % 1000")
set(HCONV_VERSION ${hconv_major}.${hconv_minor}.${hconv_patch})
