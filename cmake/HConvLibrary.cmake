# hconv_add_library(NAME PROBLEMS problem|file... [TARGETS target...] [STRICT] [NO_VERIFY] [FLAGS flag...])
# SPDX-License-Identifier: MIT
#
# A static library NAME, made by `hconv emit` at build time, again whenever a problem list or the command changes. Link it, and
# include "NAME.h"; its table is hconv_library_NAME.
#   PROBLEMS  problem strings, and files with one a line (relative to the current source folder)
#   TARGETS   as hconv list targets names them, or host; default: every CPU level of the platform that CMake builds for
#   STRICT    a kernel that fails its check stops the build instead of being replaced by the generic one
#   NO_VERIFY do not check the kernels
#   FLAGS     anything else that hconv emit understands
# The table and the runtime are compiled by the project's own C compiler, so cross compiling needs nothing but hconv_TOOL, the
# command of the building machine. All libraries of a project share one runtime, the target hconv_runtime.
include_guard(GLOBAL)

# The platform that CMake builds for, as hconv spells it.
function(hconv_platform out)
    set(cpus x86_64 x86-64 AMD64 x86-64 amd64 x86-64 aarch64 arm-64 arm64 arm-64 ARM64 arm-64)
    set(systems Linux linux Darwin osx Windows windows Android android)
    list(FIND cpus "${CMAKE_SYSTEM_PROCESSOR}" cpu)
    list(FIND systems "${CMAKE_SYSTEM_NAME}" system)
    if(cpu EQUAL -1 OR system EQUAL -1)
        message(FATAL_ERROR "hconv knows no platform ${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}: say TARGETS; "
            "`hconv list targets` shows them.")
    endif()
    math(EXPR cpu "${cpu} + 1")
    math(EXPR system "${system} + 1")
    list(GET cpus ${cpu} cpu)
    list(GET systems ${system} system)
    set(${out} ${cpu}-${system} PARENT_SCOPE)
endfunction()

# The runtime, of the sources that the command carries: never another version than its libraries'.
function(hconv_runtime_target)
    if(TARGET hconv_runtime)
        return()
    endif()
    set(folder ${CMAKE_BINARY_DIR}/hconv_runtime)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${hconv_TOOL})
    execute_process(COMMAND ${hconv_TOOL} runtime -o ${folder} RESULT_VARIABLE failed ERROR_VARIABLE error)
    if(failed)
        message(FATAL_ERROR "${hconv_TOOL} does not run here (${failed}): ${error}\n"
            "When cross compiling, set hconv_TOOL to the hconv of the building machine.")
    endif()
    file(GLOB_RECURSE sources ${folder}/hconv/src/*.c)
    find_package(Threads REQUIRED) # its flags, not its target, which other folders do not see
    add_library(hconv_runtime STATIC ${sources})
    set_target_properties(hconv_runtime PROPERTIES C_STANDARD 99 POSITION_INDEPENDENT_CODE ON)
    target_include_directories(hconv_runtime SYSTEM PUBLIC ${folder})
    target_link_libraries(hconv_runtime PUBLIC ${CMAKE_THREAD_LIBS_INIT} $<$<NOT:$<BOOL:${WIN32}>>:m> ${CMAKE_DL_LIBS})
    # A build type without -O would make packing parameters slow.
    target_compile_options(hconv_runtime PRIVATE
        $<$<AND:$<CONFIG:>,$<NOT:$<C_COMPILER_ID:MSVC>>>:-O2>)
endfunction()

function(hconv_add_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "STRICT;NO_VERIFY" "" "PROBLEMS;TARGETS;FLAGS")
    if(NOT arg_PROBLEMS OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "hconv_add_library(${name}) needs PROBLEMS, and knows TARGETS, STRICT, NO_VERIFY and FLAGS; "
            "'${arg_UNPARSED_ARGUMENTS}' is none of them.")
    endif()
    if(NOT arg_TARGETS)
        hconv_platform(arg_TARGETS)
    endif()
    set(problems "")
    set(lists "")
    foreach(problem IN LISTS arg_PROBLEMS)
        get_filename_component(file ${problem} ABSOLUTE)
        if(EXISTS ${file})
            list(APPEND lists ${file})
            list(APPEND problems @${file})
        elseif(problem MATCHES "[./]")
            message(FATAL_ERROR "hconv_add_library(${name}): the problem list ${file} is not there.")
        else()
            list(APPEND problems ${problem})
        endif()
    endforeach()
    list(JOIN arg_TARGETS "," targets)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/hconv_${name}/${name})
    set(kernels ${folder}/lib${name}_kernels.a)
    add_custom_command(OUTPUT ${folder}/${name}.c ${folder}/${name}.h ${folder}/kernels.json ${kernels}
        COMMAND ${hconv_TOOL} emit ${problems} -o ${folder} --name ${name} --target ${targets}
            $<$<BOOL:${arg_STRICT}>:--strict> $<$<BOOL:${arg_NO_VERIFY}>:--no-verify> ${arg_FLAGS}
        DEPENDS ${lists} ${hconv_TOOL} COMMAND_EXPAND_LISTS VERBATIM
        COMMENT "Compiling the kernels of ${name}")
    hconv_runtime_target()
    add_library(${name} STATIC ${folder}/${name}.c ${folder}/${name}.h)
    set_target_properties(${name} PROPERTIES C_STANDARD 99 POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${name} SYSTEM PUBLIC ${folder})
    target_link_libraries(${name} PUBLIC ${kernels} hconv_runtime)
endfunction()
