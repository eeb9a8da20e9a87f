#!/usr/bin/env python3
# Writes runtime/variants/wavelets.h, the low-pass taps of every discrete wavelet of PyWavelets:
#     python3 scripts/wavelets.py > runtime/variants/wavelets.h
# SPDX-License-Identifier: MIT
# Needs the package PyWavelets. The high-pass taps follow from the low-pass ones; this is checked, number for number.
import numpy
import pywt

HEAD = """/* wavelets.h - low-pass taps of the discrete wavelets, and the words that name them; written by scripts/wavelets.py.
 * SPDX-License-Identifier: MIT
 * Source: PyWavelets {version} (MIT), pywt.Wavelet(name): analysis = dec_lo reversed, synthesis = rec_lo; equal for orthogonal
 * wavelets. High-pass: analysis (-1)^t synthesis_low[L - 1 - t], synthesis (-1)^t analysis_low[L - 1 - t]. */
#ifndef HCONV_VARIANTS_WAVELETS_H
#define HCONV_VARIANTS_WAVELETS_H

#include "wtconv.h"
"""


def word(name):
    return name.replace(".", "")


def low_passes(name):
    """(analysis, synthesis), checked against PyWavelets' high-pass filters."""
    w = pywt.Wavelet(name)
    analysis, synthesis = numpy.array(w.dec_lo[::-1]), numpy.array(w.rec_lo)
    signs = (-1.0) ** numpy.arange(len(analysis))
    assert w.dec_len == w.rec_len == len(analysis) and len(analysis) % 2 == 0
    assert numpy.array_equal(w.dec_hi[::-1], signs * synthesis[::-1])
    assert numpy.array_equal(w.rec_hi, signs * analysis[::-1])
    return analysis, synthesis


def put_array(name, taps):
    texts = [repr(float(t)) for t in taps]
    print(f"static const double {name}[] = {{")
    for at in range(0, len(texts), 4):
        print("    " + ", ".join(texts[at:at + 4]) + ("," if at + 4 < len(texts) else "};"))


def main():
    families = {family: pywt.wavelist(family) for family in ("db", "sym", "coif", "bior", "rbio", "dmey")}
    names = [name for members in families.values() for name in members]
    assert sorted(names + ["haar"]) == sorted(pywt.wavelist(kind="discrete"))
    assert pywt.Wavelet("haar").filter_bank == pywt.Wavelet("db1").filter_bank
    print(HEAD.format(version=pywt.__version__))
    arrays = {}
    for name in names:
        analysis, synthesis = low_passes(name)
        if name.startswith("rbio"):
            arrays[name] = arrays["bior" + name[4:]][::-1]
            mirror = low_passes("bior" + name[4:])
            assert numpy.array_equal(analysis, mirror[1]) and numpy.array_equal(synthesis, mirror[0])
        elif numpy.array_equal(analysis, synthesis):
            arrays[name] = (word(name) + "_taps",) * 2
            put_array(arrays[name][0], synthesis)
        else:
            arrays[name] = (word(name) + "_analysis", word(name) + "_synthesis")
            put_array(arrays[name][0], analysis)
            put_array(arrays[name][1], synthesis)
    print("\n/* Wavelet w of hconv_problem.extra[HCONV_WAVELET]. */")
    print("static const hconv_wavelet wavelets[] = {")
    for name in names:
        print(f'    {{"{word(name)}", {pywt.Wavelet(name).dec_len}, {arrays[name][0]}, {arrays[name][1]}}},')
    print("};\n")
    print("static const hconv_word wavelet_words[] = {")
    for number, name in [(0, "haar"), *enumerate(names)]:
        print(f'    {{"{word(name)}", HCONV_FIELD(extra[HCONV_WAVELET]), {number}}},')
    print("    HCONV_WORD_END,\n};\n")
    print("#endif")


if __name__ == "__main__":
    main()
