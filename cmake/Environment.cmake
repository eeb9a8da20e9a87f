# Where Halide is: in the private Python environment that scripts/setup.sh makes, unless Halide_DIR says otherwise.
# SPDX-License-Identifier: MIT
if(NOT EXISTS "${Halide_DIR}/HalideConfig.cmake")
    if(DEFINED ENV{HCONV_ENV})
        set(hconv_env $ENV{HCONV_ENV})
    else()
        set(hconv_env ${CMAKE_SOURCE_DIR}/.env)
    endif()
    # The folder holds a Python version in its name, and CMake does not look into lib64 on Debian.
    file(GLOB hconv_halide ${hconv_env}/lib/python3*/site-packages/halide/lib64/cmake/Halide)
    if(NOT hconv_halide)
        message(FATAL_ERROR "Halide is not in ${hconv_env}: run scripts/setup.sh, or set Halide_DIR.")
    endif()
    list(GET hconv_halide 0 hconv_halide)
    set(Halide_DIR ${hconv_halide} CACHE PATH "Folder with HalideConfig.cmake" FORCE)
endif()
