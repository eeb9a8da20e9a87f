# From the lists of variants and schedules to files; each must exist.
# SPDX-License-Identifier: MIT
set(HCONV_VARIANTS_DEF ${CMAKE_SOURCE_DIR}/runtime/variants.def)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${HCONV_VARIANTS_DEF})

# HCONV_VARIANTS: the names; HCONV_FAMILIES: the names of the files that hold them.
file(STRINGS ${HCONV_VARIANTS_DEF} lines REGEX "^HCONV_VARIANT\\(")
foreach(line IN LISTS lines)
    if(NOT line MATCHES "^HCONV_VARIANT\\(([a-z0-9_]+), ([a-z0-9_]+), ")
        message(FATAL_ERROR "runtime/variants.def: a line must begin with HCONV_VARIANT(name, family, : ${line}")
    endif()
    list(APPEND HCONV_VARIANTS ${CMAKE_MATCH_1})
    list(APPEND HCONV_FAMILIES ${CMAKE_MATCH_2})
endforeach()
list(REMOVE_DUPLICATES HCONV_FAMILIES)

function(hconv_require file reason)
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
        message(SEND_ERROR "${file} is missing: ${reason}")
    endif()
endfunction()

# tests/problems/<variant>.txt of every variant.
function(hconv_require_problems)
    foreach(variant IN LISTS HCONV_VARIANTS)
        hconv_require(tests/problems/${variant}.txt "runtime/variants.def has the variant ${variant}")
    endforeach()
endfunction()

# <folder>/<family>.<extension> of every family.
function(hconv_family_files folder extension out)
    foreach(family IN LISTS HCONV_FAMILIES)
        hconv_require(${folder}/${family}.${extension} "runtime/variants.def has the family ${family}")
        list(APPEND files ${folder}/${family}.${extension})
    endforeach()
    set(${out} ${files} PARENT_SCOPE)
endfunction()

# The files that a list names, one a line; '#' begins a comment.
function(hconv_listed_files list out)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${list})
    file(STRINGS ${list} files REGEX "^[^#]")
    foreach(file IN LISTS files)
        hconv_require(${file} "${list} names it")
    endforeach()
    set(${out} ${files} PARENT_SCOPE)
endfunction()

# A C++ source with the license and every file of a folder that matches a pattern, as hconv_<name>_files: see tools/embedded.h.
function(hconv_embed name folder output)
    list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/${folder}/ OUTPUT_VARIABLE patterns)
    file(GLOB_RECURSE inputs CONFIGURE_DEPENDS ${patterns})
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/LICENSE)
    foreach(input IN LISTS inputs)
        file(RELATIVE_PATH file ${CMAKE_SOURCE_DIR}/${folder} ${input})
        list(APPEND files ${file})
    endforeach()
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DFOLDER=${CMAKE_SOURCE_DIR}/${folder} "-DFILES=${files}" -DOUTPUT=${output}
            -P ${CMAKE_SOURCE_DIR}/cmake/Embed.cmake
        DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/cmake/Embed.cmake
        COMMENT "Embedding ${folder}/" VERBATIM)
endfunction()
