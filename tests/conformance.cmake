# The library of the smoke lists and its test. SPDX-License-Identifier: MIT
# conformance: every kernel of the smoke lists x its checks, on a library that hconv emits like any other. Dense convolution
# at every level, each other problem at one of them, chosen by its name (the build says which; tests/full.sh tries them all).
# The open ones a second time with Halide's own checks compiled in.
# Under a sanitizer the kernels report to it as well: Halide's thread sanitizer sees vectors of 16 bytes and no longer ones.
if(HCONV_SANITIZE STREQUAL thread AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(conformance_target x86-64-linux-sse41-tsan)
elseif(HCONV_SANITIZE AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(conformance_target x86-64-linux-avx-avx2-f16c-fma-sse41-asan)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(conformance_target x86-64-linux)
else()
    set(conformance_target host)
endif()
list(TRANSFORM HCONV_VARIANTS REPLACE "(.+)" "tests/problems/\\1.txt" OUTPUT_VARIABLE problem_lists)
list(TRANSFORM problem_lists PREPEND "@" OUTPUT_VARIABLE spread)
set(every_level @tests/problems/conv2d.txt)
list(REMOVE_ITEM spread ${every_level})
list(TRANSFORM problem_lists PREPEND ${CMAKE_SOURCE_DIR}/)
set(conformance ${CMAKE_BINARY_DIR}/conformance)
set(patience)
if(HCONV_SANITIZE) # LLVM takes up to twenty times as long with every access instrumented
    set(patience --time-limit 1800)
endif()
add_custom_command(OUTPUT ${conformance}/libconformance.a ${conformance}/libconformance_kernels.a
        ${conformance}/conformance.h ${conformance}/conformance.c
    COMMAND ${CMAKE_COMMAND} -E env ${HCONV_TEST_ENVIRONMENT}
        $<TARGET_FILE:hconv> emit ${every_level} --spread ${spread} -o ${conformance} --name conformance --target ${conformance_target}
        --no-verify ${patience}
    DEPENDS hconv ${problem_lists} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} USES_TERMINAL VERBATIM
    COMMENT "Compiling the kernels of the smoke lists")
add_executable(conformance conformance.cpp in_program.cpp api/counted_malloc.cpp
    ${CMAKE_SOURCE_DIR}/tools/problem_list.cpp ${CMAKE_SOURCE_DIR}/generators/problem.cpp ${conformance}/conformance.h)
target_include_directories(conformance PRIVATE ${conformance})
if(HCONV_SANITIZE OR HCONV_COVERAGE) # the runtime inside libconformance.a is the C compiler's as it is
    target_sources(conformance PRIVATE ${conformance}/conformance.c)
    set(conformance_library ${conformance}/libconformance_kernels.a)
else()
    set(conformance_library ${conformance}/libconformance.a)
endif()
if(HCONV_SANITIZE STREQUAL thread AND CMAKE_C_COMPILER_ID STREQUAL GNU)
    target_sources(conformance PRIVATE sanitizer_calls.c)
endif()
target_link_libraries(conformance PRIVATE hconv_warnings ${conformance_library} hconv_reference GTest::gtest_main
    ${CMAKE_DL_LIBS})
hconv_test(conformance conformance COMMAND conformance)
