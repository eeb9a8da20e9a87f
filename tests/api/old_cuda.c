/* old_cuda.c - a libcuda.so.1 of which nearly everything is missing. SPDX-License-Identifier: MIT */
int cuInit(unsigned flags);
int cuInit(unsigned flags) { return (int)flags; }
