# The words people type. SPDX-License-Identifier: MIT
# PRESET=dev|release|ci|asan|tsan|coverage chooses the build, HCONV_ENV another folder for the environment.
.PHONY: help demo demo-arm test test-full test-arm arm-inspect x86-inspect cuda-inspect goldens bench bench-rivals tune fuzz static faults tune-faults build clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16
demo: ## compile the face detector's layers, link them into a C program, find a face in a photo
	@scripts/build.sh hconv && examples/face_detect/demo.sh
demo-arm: ## the same cross-compiled for ARM and run under qemu, and a WTConv block; answers checked
	@scripts/build.sh hconv && examples/face_detect/demo_arm.sh
test: ## build and run all tests (smoke lists)
	@scripts/test.sh
test-full: ## the same, then every kernel of the full problem lists
	@scripts/test.sh && tests/full.sh
test-arm: ## every kernel of the smoke and full lists and all golden cases on emulated ARM processors (an hour)
	@scripts/build.sh && tests/arm.sh --all
arm-inspect: ## what the hot loops of ARM kernels are bound by, into docs/arm.md; needs llvm-19
	@scripts/build.sh hconv && python3 bench/loop_inspect.py build/$(or $(PRESET),release)/hconv arm --write --check
x86-inspect: ## what the hot loops of x86 kernels are bound by, beside what was measured, into docs/bench.md; needs llvm-19
	@scripts/build.sh hconv && python3 bench/loop_inspect.py build/$(or $(PRESET),release)/hconv x86 --write $(addprefix --measured ,$(wildcard out/rivals.json))
cuda-inspect: ## registers, spills, shared memory of CUDA kernels, into docs/cuda.md; needs ptxas
	@scripts/build.sh hconv && python3 bench/cuda_inspect.py build/$(or $(PRESET),release)/hconv --write --check
goldens: ## run every case below HCONV_GOLDENS (default: tests/goldens) through the public API
	@scripts/build.sh && tests/goldens.sh
bench: ## measure the layers of real networks on this machine
	@scripts/build.sh hconv && scripts/bench.sh
bench-rivals: ## measure against PyTorch, OpenVINO, ONNX Runtime and oneDNN (downloads them, some gigabytes)
	@scripts/build.sh hconv && scripts/rivals.sh
tune: ## tune the layers of two networks on this machine (under 20 minutes); winners to schedules/tuned/
	@scripts/build.sh hconv && build/$(or $(PRESET),release)/hconv tune @bench/problems/tuned.txt --seconds 48 --keep
fuzz: ## new inputs for every parser and reader, SECONDS=600 each; needs clang
	@SECONDS_EACH=$(or $(SECONDS),600) scripts/fuzz.sh
static: ## cppcheck and clang-tidy over the runtime and the tools that do without Halide
	@scripts/build.sh && scripts/static.sh all
faults: ## full disks, lost memory, damaged caches and 100 kills of hconv emit (an hour)
	@scripts/build.sh hconv && python3 tests/tools/faults.py build/$(or $(PRESET),release)/hconv --full
tune-faults: ## 200 kills of hconv tune, and whatever else a tuner survives (half an hour)
	@scripts/build.sh hconv hconv_with_bad_schedules && python3 tests/tools/tune_test.py build/$(or $(PRESET),release)/hconv build/$(or $(PRESET),release)/tests/hconv_with_bad_schedules --long
build: ## the command and all tests, without running them
	@scripts/build.sh
clean: ## remove what was built; keeps .env/
	@rm -rf build out
