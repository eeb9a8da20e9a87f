# What cmake --install puts into a prefix, which may be moved afterwards: the command with the Halide it is linked to, the public
# headers, and what find_package(hconv) and pkg-config read.
# SPDX-License-Identifier: MIT
# The installed command needs beside it only what hconv doctor lists: llvm-objcopy, llvm-nm and llvm-ar, and a C compiler.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(hconv_private ${CMAKE_INSTALL_LIBDIR}/hconv)
set(hconv_package ${CMAKE_INSTALL_LIBDIR}/cmake/hconv)
install(IMPORTED_RUNTIME_ARTIFACTS Halide::Halide LIBRARY DESTINATION ${hconv_private})
file(RELATIVE_PATH hconv_up ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR}/hconv)
set_target_properties(hconv PROPERTIES INSTALL_RPATH "$ORIGIN/${hconv_up}")
install(TARGETS hconv RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY runtime/include/hconv DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_package_config_file(cmake/hconvConfig.cmake.in ${CMAKE_BINARY_DIR}/package/hconvConfig.cmake
    INSTALL_DESTINATION ${hconv_package} PATH_VARS CMAKE_INSTALL_BINDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/hconvConfigVersion.cmake
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES cmake/HConvLibrary.cmake ${CMAKE_BINARY_DIR}/package/hconvConfig.cmake
    ${CMAKE_BINARY_DIR}/package/hconvConfigVersion.cmake DESTINATION ${hconv_package})

# From the folder of hconv.pc to the prefix.
file(RELATIVE_PATH hconv_pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/hconv.pc.in ${CMAKE_BINARY_DIR}/package/hconv.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/hconv.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
