# The command hconv, or the built one that HCONV_COMMAND names. SPDX-License-Identifier: MIT
if(HCONV_COMMAND)
    add_executable(hconv IMPORTED GLOBAL)
    set_target_properties(hconv PROPERTIES IMPORTED_LOCATION ${HCONV_COMMAND})
    return()
endif()

# Generators and schedules register themselves, so they are objects of the program, not a library.
hconv_family_files(generators cpp HCONV_GENERATORS)
hconv_listed_files(generators/formulations.txt HCONV_FORMULATIONS)
hconv_listed_files(schedules/list.txt HCONV_SCHEDULES)
add_executable(hconv
    bench/roofline.c
    tools/autoschedule.cpp
    tools/bench.cpp
    tools/cache.cpp
    tools/cases.cpp
    tools/check.cpp
    tools/compile.cpp
    tools/cuda.cpp
    tools/emit.cpp
    tools/emitted_files.cpp
    tools/hconv.cpp
    tools/measure.cpp
    tools/pack_up.cpp
    tools/packed.cpp
    tools/problem_list.cpp
    tools/process.cpp
    tools/random_problems.cpp
    tools/records.cpp
    tools/records_verb.cpp
    tools/report.cpp
    tools/run.cpp
    tools/run_program.cpp
    tools/ship.cpp
    tools/show.cpp
    tools/space.cpp
    tools/targets.cpp
    tools/tensor_file.cpp
    tools/trial_log.cpp
    tools/tune.cpp
    tools/tune_view.cpp
    tools/tuned.cpp
    tools/fetch_ahead.cpp
    tools/workspace.cpp
    generators/algebra.cpp
    generators/per_sample.cpp
    generators/problem.cpp
    generators/tensors.cpp
    ${HCONV_GENERATORS}
    ${HCONV_FORMULATIONS}
    ${HCONV_SCHEDULES}
    ${CMAKE_BINARY_DIR}/embedded.cpp
    ${CMAKE_BINARY_DIR}/tuned.cpp)
target_link_libraries(hconv PRIVATE hconv_warnings hconv_runtime hconv_reference Halide::Halide ZLIB::ZLIB
    SQLite::SQLite3)
hconv_embed(embedded runtime ${CMAKE_BINARY_DIR}/embedded.cpp *.c *.h *.def)
hconv_embed(tuned schedules/tuned ${CMAKE_BINARY_DIR}/tuned.cpp *.jsonl)
