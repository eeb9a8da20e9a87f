"""Times PyTorch (cuDNN with its benchmark mode, CUDA graphs) on the problems of a list, and for wtconv with the Haar wavelet a fused
kernel in Triton: a line of JSON each, as hconv bench has them.

SPDX-License-Identifier: MIT
usage: rivals.py LIST; needs PyTorch with a GPU, Triton for the fused wtconv. Every problem is timed with TF32 off and, labelled so,
on, in float32 and, labelled so, in float16; channels_last where the problem is nhwc.
"""
import json
import re
import statistics
import sys

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

ROUNDS, RUNS = 15, 50


def parse(text):
    """The sizes of a problem string, as far as the lists here use them."""
    variant = re.match(r"[a-z]+(?:1d)?(?:_separable)?", text)[0]
    items = text[len(variant):].strip("_").split("_")
    p = {"n": 1, "k": 1, "s": 1, "p": 0, "d": 1, "g": 1, "lev": 1, "b": 2, "ex": 4, "variant": variant, "nchw": "nchw" in items}
    for item in items:
        for key, value in re.findall(r"([a-z]+)(\d+)", item):
            p[key] = int(value)
    p.setdefault("w", p["h"])
    p.setdefault("co", p["ci"])
    return p


def weight(*shape):
    return torch.randn(shape, device="cuda") * 0.1


def haar_filters(c):
    a = torch.tensor([1.0, 1.0], device="cuda") / 2 ** 0.5
    d = torch.tensor([1.0, -1.0], device="cuda") / 2 ** 0.5
    bank = torch.stack([torch.outer(a, a), torch.outer(a, d), torch.outer(d, a), torch.outer(d, d)])
    return bank[:, None].repeat(c, 1, 1, 1)


def wtconv(p):
    """The composition: grouped convolutions with the filters, depthwise ones on the sub-bands, and back."""
    c, k, levels = p["ci"], p["k"], p["lev"]
    base, bank = weight(c, 1, k, k), haar_filters(c)
    kernels = [weight(4 * c, 1, k, k) for _ in range(levels)]

    def run(x, base=base, bank=bank, kernels=kernels):
        low, bands = x, []
        for kernel in kernels:
            low = F.pad(low, (0, low.shape[3] % 2, 0, low.shape[2] % 2))
            sub = F.conv2d(low, bank, stride=2, groups=c)
            low = sub[:, ::4]
            bands.append(F.conv2d(sub, kernel, padding=k // 2, groups=4 * c))
        back = 0
        for i in reversed(range(levels)):
            band = bands[i]
            if i + 1 < levels:
                band = band.clone()
                band[:, ::4] += back[:, :, :band.shape[2], :band.shape[3]]
            back = F.conv_transpose2d(band, bank, stride=2, groups=c)
        return F.conv2d(x, base, padding=k // 2, groups=c) + back[:, :, :x.shape[2], :x.shape[3]]
    return run, [base, bank, *kernels]


if triton:
    @triton.jit
    def haar_level(x, kernel, base, y, h, w, c, K: tl.constexpr, C: tl.constexpr):
        """One output quad (2 x 2 pixels) and C channels a program, nhwc: four sub-bands of every window place are made of the input,
        multiplied, and put together at once; one level."""
        qx, qy, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
        blocks = tl.cdiv(c, C)
        channel, n = block % blocks * C + tl.arange(0, C), block // blocks
        mask, image = channel < c, x + n.to(tl.int64) * h * w * c
        b0 = tl.zeros((C,), tl.float32)
        b1, b2, b3 = b0, b0, b0
        for v in range(K):
            for u in range(K):
                px, py = 2 * (qx + u - K // 2), 2 * (qy + v - K // 2)
                i00 = tl.load(image + (py * w + px) * c + channel, mask & (px >= 0) & (py >= 0) & (px < w) & (py < h), 0.0)
                i01 = tl.load(image + (py * w + px + 1) * c + channel, mask & (px >= 0) & (py >= 0) & (px + 1 < w) & (py < h), 0.0)
                i10 = tl.load(image + ((py + 1) * w + px) * c + channel, mask & (px >= 0) & (py >= 0) & (px < w) & (py + 1 < h), 0.0)
                i11 = tl.load(image + ((py + 1) * w + px + 1) * c + channel, mask & (px >= 0) & (py >= 0) & (px + 1 < w) & (py + 1 < h), 0.0)
                at = kernel + (v * K + u) * 4 * c + channel
                b0 += tl.load(at, mask, 0.0) * (i00 + i01 + i10 + i11)
                b1 += tl.load(at + c, mask, 0.0) * (i00 - i01 + i10 - i11)
                b2 += tl.load(at + 2 * c, mask, 0.0) * (i00 + i01 - i10 - i11)
                b3 += tl.load(at + 3 * c, mask, 0.0) * (i00 - i01 - i10 + i11)
        for dy in range(2):
            for dx in range(2):
                ox, oy = 2 * qx + dx, 2 * qy + dy
                total = 0.25 * (b0 + (1 - 2 * dx) * b1 + (1 - 2 * dy) * b2 + (1 - 2 * dx) * (1 - 2 * dy) * b3)
                for v in range(K):
                    for u in range(K):
                        px, py = ox + u - K // 2, oy + v - K // 2
                        inside = mask & (px >= 0) & (py >= 0) & (px < w) & (py < h)
                        total += tl.load(base + (v * K + u) * c + channel, mask, 0.0) * tl.load(image + (py * w + px) * c + channel, inside, 0.0)
                tl.store(y + ((n.to(tl.int64) * h + oy) * w + ox) * c + channel, total, mask & (ox < w) & (oy < h))


def fused_wtconv(p, x):
    """The Triton kernel on the parameters of the composition, for one level; checked against it."""
    run, (base, _, kernel) = wtconv(p)
    c, k, h, w = p["ci"], p["k"], p["h"], p["w"]
    image, out = x.permute(0, 2, 3, 1).contiguous(), torch.empty_like(x.permute(0, 2, 3, 1).contiguous())
    packed = kernel.view(c, 4, k, k).permute(2, 3, 1, 0).contiguous()
    flat = base.view(c, k, k).permute(1, 2, 0).contiguous()
    grid = ((w + 1) // 2, (h + 1) // 2, triton.cdiv(c, 64) * p["n"])

    def launch(_):
        haar_level[grid](image, packed, flat, out, h, w, c, k, 64)
        return out
    torch.testing.assert_close(launch(x).permute(0, 3, 1, 2), run(x), rtol=1e-3, atol=1e-3)
    return launch


def rival(p):
    """A function of x and the tensors that it multiplies with."""
    ci, co, k = p["ci"], p["co"], p["k"]
    same = {"stride": p["s"], "padding": p["p"], "dilation": p["d"]}
    if p["variant"] == "transposed":
        kernel = weight(ci, co, k, k)
        return lambda x, kernel=kernel: F.conv_transpose2d(x, kernel, stride=p["s"], padding=p["p"]), [kernel]
    if p["variant"] == "depthwise_separable":
        first, second = weight(ci, 1, k, k), weight(co, ci, 1, 1)
        return lambda x, first=first, second=second: F.conv2d(F.conv2d(x, first, groups=ci, **same), second), [first, second]
    if p["variant"] == "spd":
        kernel = weight(co, 4 * ci, k, k)
        return lambda x, kernel=kernel: F.conv2d(torch.cat([x[..., dy::2, dx::2] for dx in (0, 1) for dy in (0, 1)], 1), kernel, **same), [kernel]
    if p["variant"] == "octave":  # beside the composition, the dense layer it replaces is in the list as conv2d
        low_in, low_out = p["cil"], p["col"]
        kernels = [weight(o, i, k, k) for o in (co - low_out, low_out) for i in (ci - low_in, low_in)]
        kernels.append(weight(p["n"], low_in, p["h"] // 2, p["w"] // 2).contiguous(memory_format=torch.channels_last))

        def run(x, hh=kernels[0], lh=kernels[1], hl=kernels[2], ll=kernels[3], low=kernels[4]):
            high = x[:, low_in:]
            up = F.interpolate(F.conv2d(low, lh, **same), scale_factor=2)
            return F.conv2d(high, hh, **same) + up, F.conv2d(F.avg_pool2d(high, 2), hl, **same) + F.conv2d(low, ll, **same)
        return run, kernels
    if p["variant"] == "wtconv":
        return wtconv(p)
    if p["variant"] in ("condconv", "odconv"):  # the mixing and one grouped convolution over the batch
        experts, fc, n = weight(p["ex"], co * ci * k * k), weight(p["ex"], ci), p["n"]

        def run(x, experts=experts, fc=fc):
            mixed = torch.sigmoid(x.mean((2, 3)) @ fc.T) @ experts
            y = F.conv2d(x.reshape(1, n * ci, p["h"], p["w"]), mixed.view(n * co, ci, k, k), groups=n, **same)
            return y.view(n, co, y.shape[2], y.shape[3])
        return run, [experts, fc]
    groups = ci if p["variant"] == "depthwise" else p["g"]
    kernel = weight(co, ci // groups, k, k)
    return lambda x, kernel=kernel: F.conv2d(x, kernel, groups=groups, **same), [kernel]


def time_ns(run, x):
    """Median over rounds of a CUDA graph of many runs."""
    for _ in range(5):
        run(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(RUNS):
            run(x)
    times = []
    for _ in range(ROUNDS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e6 / RUNS)
    return statistics.median(times)


def main():
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    for line in open(sys.argv[1], encoding="utf-8"):
        text = line.split("#")[0].strip()
        if not text:
            continue
        p = parse(text)
        for label, tf32, dtype in (("fp32", False, torch.float32), ("tf32", True, torch.float32), ("fp16", False, torch.float16)):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            try:
                with torch.no_grad():
                    x = torch.randn(p["n"], p["ci"], p["h"], p["w"], device="cuda")
                    if not p["nchw"]:
                        x = x.contiguous(memory_format=torch.channels_last)
                    run, tensors = rival(p)
                    halves = [t.to(dtype) for t in tensors]
                    call = run if dtype == torch.float32 else (lambda x, run=run, halves=halves: run(x, *halves))
                    row = {"problem": text, "rival": "pytorch", "label": label, "median_ns": time_ns(call, x.to(dtype))}
                    print(json.dumps(row), flush=True)
                    if triton and p["variant"] == "wtconv" and p["lev"] == 1 and label == "fp32":
                        print(json.dumps({"problem": text, "rival": "triton", "label": label, "median_ns": time_ns(fused_wtconv(p, x), x)}), flush=True)
            except Exception as e:  # pylint: disable=broad-except
                print(json.dumps({"problem": text, "label": label, "error": str(e).splitlines()[0]}), flush=True)


if __name__ == "__main__":
    main()
