"""tools/from_torch.py: a model becomes a list, parameters and goldens; hconv checks the list, and runs every layer to its golden.

SPDX-License-Identifier: MIT
from_torch_test.py HCONV: skipped, aloud, where no Python with PyTorch is found.
"""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from with_torch import ROOT, read_npy, run_with_torch

run_with_torch(__file__)

import torch
from torch import nn

sys.path += [str(ROOT / "tools"), str(ROOT / "tests/tools")]
import from_torch
import torch_modules as modules


class Block(nn.Module):
    """ResNet's: the second norm, the addition and the activation behind it belong to the second convolution."""

    def __init__(self, ci, co, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ci, co, 3, stride, 1, bias=False), nn.BatchNorm2d(co)
        self.conv2, self.bn2 = nn.Conv2d(co, co, 3, 1, 1, bias=False), nn.BatchNorm2d(co)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or ci != co:
            self.downsample = nn.Sequential(nn.Conv2d(ci, co, 1, stride, bias=False), nn.BatchNorm2d(co))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def resnet18():
    stages = [[(8, 8, 1)] * 2, [(8, 16, 2), (16, 16, 1)], [(16, 24, 2), (24, 24, 1)], [(24, 32, 2), (32, 32, 1)]]
    return nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
                         nn.MaxPool2d(3, 2, 1), *(nn.Sequential(*(Block(*b) for b in stage)) for stage in stages),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class Inverted(nn.Module):
    def __init__(self, ci, co, stride, expand):
        super().__init__()
        layer = lambda i, o, k, s, g: [nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), nn.ReLU6()]
        hidden = ci * expand
        first = layer(ci, hidden, 1, 1, 1) if expand != 1 else []
        self.conv = nn.Sequential(*first, *layer(hidden, hidden, 3, stride, hidden),
                                  nn.Conv2d(hidden, co, 1, bias=False), nn.BatchNorm2d(co))
        self.residual = stride == 1 and ci == co

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


def mobilenet_v2():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), Inverted(8, 4, 1, 1),
                         Inverted(4, 6, 2, 6), Inverted(6, 6, 1, 6), nn.Conv2d(6, 20, 1, bias=False), nn.BatchNorm2d(20),
                         nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(20, 7))


class Research(nn.Module):
    """One of each module that is known by its class, and plain ones in odd places."""

    def __init__(self):
        super().__init__()
        self.wt = modules.WTConv2d(6, 6, 5, wt_levels=2, wt_type="db2")
        self.wt_strided = modules.WTConv2d(6, 6, 3, stride=2)
        self.octave = modules.OctaveConv(6, 8, 3, alpha_in=0, padding=1, bias=True)
        self.octave_article = modules.ArticleOctaveConv(8, 8, (3, 3), stride=2)
        self.octave_last = modules.OctaveConv(8, 6, 3, alpha_out=0, padding=1, stride=1)
        self.dynamic = modules.Dynamic_conv2d(6, 8, 3, padding=1)
        self.od = modules.ODConv2d(8, 8, 3, padding=1)
        self.od_norm = nn.BatchNorm2d(8)
        self.routing = nn.Linear(8, 4)
        self.cond = modules.CondConv2d(8, 6, bias=True)
        self.prelu = nn.PReLU()
        self.spd, self.behind = modules.space_to_depth(), nn.Conv2d(24, 5, (1, 3), padding="same", dilation=(1, 2))
        self.separable = modules.SeparableConv2d(5, 6)
        self.up = nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1)
        self.rows, self.wt1, self.dynamic1 = nn.Conv1d(4, 6, 3, padding=1), modules.WTConv1d(6, 6, 4), None
        self.dynamic1 = modules.Dynamic_conv1d(6, 6, 3, padding=1, K=2)
        self.up_rows = nn.ConvTranspose1d(6, 3, 4, 2, 1, groups=3)

    def forward(self, x):
        x = nn.functional.gelu(self.wt(x))
        high, low = self.octave_article(self.octave(torch.cat([self.wt_strided(x)] * 2, 3)))
        x, _ = self.octave_last((high, low))
        x = torch.tanh(self.dynamic(x))
        x = nn.functional.silu(self.od_norm(self.od(x)))
        x = self.prelu(self.cond(x, torch.sigmoid(self.routing(x.mean((2, 3))))))
        x = self.separable(nn.functional.leaky_relu(self.behind(self.spd(x)), 0.2))
        x = self.up(x).flatten(2)
        return self.up_rows(self.dynamic1(self.wt1(nn.functional.hardswish(self.rows(x)))))


def randomised(model):
    torch.manual_seed(3)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(0.5, 1.5), m.bias.data.normal_(), m.running_mean.normal_(), m.running_var.uniform_(0.5, 2)
    return model.eval()


def folded(said):
    return {entry["layer"]: entry["problem"].split("_") for entry in said["layers"]}


def expect(condition, sentence):
    if not condition:
        sys.exit(f"from_torch_test: {sentence}")


def run_all(hconv, model, sample, layout):
    """Exports, checks the list, runs every layer on its golden."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        said = from_torch.export(model, sample, folder, layout, goldens=True)
        expect(said == json.loads((folder / "layers.json").read_text()), "layers.json is not what export returns")
        subprocess.run([hconv, "check", f"@{folder / 'problems.txt'}"], check=True, stdout=subprocess.DEVNULL)
        worst = 0
        for entry in said["layers"]:
            command = [hconv] + shlex.split(entry["run"])[1:]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            expect(done.returncode == 0, f"{shlex.join(command)}: {done.stderr}")
            for tensor, golden in entry["outputs"].items():
                # hconv's 1-D maps have one row, PyTorch's none.
                got, want = read_npy(folder / f"{tensor}.npy").squeeze(), read_npy(folder / golden).squeeze()
                expect(got.shape == want.shape, f"{entry['layer']}: shape {got.shape}, not {want.shape}")
                error = float((got - want).abs().max() / want.abs().max())
                expect(error <= 1e-5, f"{entry['layer']} ({entry['problem']}): {tensor} is off by {error:.2g} of its greatest")
                worst = max(worst, error)
        print(f"{len(said['layers'])} layers, {layout}: greatest error {worst:.2g} of max|y|")
        return said


class Shared(nn.Module):
    """What must stay apart: the first sum is read twice, the second by an autograd function, the third is an output."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        self.bn = nn.BatchNorm2d(4)
        self.norm, self.three = nn.LayerNorm(6), nn.Conv3d(1, 1, 1)
        self.reflect = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.unused = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        a = self.a(x)
        x = self.bn(a) + a
        b = self.b(x)
        x = self.Twice.apply(b) + torch.relu(b)
        c = self.c(x)
        x = torch.relu(c)
        x = torch.relu(self.d(x))  # this one may be folded
        x = nn.functional.conv2d(x, self.c.weight)
        return c, self.norm(self.reflect(x))


def test_apart():
    with tempfile.TemporaryDirectory() as name:
        said = from_torch.export(randomised(Shared()), torch.randn(1, 4, 8, 8), name)
    words, why = folded(said), {(e["layer"], e["class"]): e["why"] for e in said["unserved"]}
    for layer in "abc":
        expect(not {"relu", "bn", "res"} & set(words[layer]), f"something was folded into {layer}: {words[layer]}")
    expect("relu" in words["d"], "the activation behind d is certain, and was not folded")
    for layer, kind in (("norm", "LayerNorm"), ("three", "Conv3d"), ("reflect", "Conv2d"), ("unused", "Conv2d"),
                        ("bn", "batch_norm"), ("", "conv2d")):
        expect((layer, kind) in why, f"{kind} '{layer}' is not among what is not served: {sorted(why)}")
    print(f"{len(why)} layers apart, each with its reason")


def main():
    hconv = str(pathlib.Path(sys.argv[1]).resolve())
    test_apart()
    said = run_all(hconv, randomised(resnet18()), torch.randn(1, 3, 32, 32), "nhwc")
    words = folded(said)
    expect({"bn", "res", "relu"} <= set(words["5.1.conv2"]), f"5.1.conv2 should have norm, addition, relu: {words['5.1.conv2']}")
    expect(len(words) == 21 and not said["unserved"], f"21 layers, all served: {len(words)}, {said['unserved']}")
    said = run_all(hconv, randomised(mobilenet_v2()), torch.randn(2, 3, 24, 20), "nchw")
    expect("res" in folded(said)["5.conv.6"], "the addition behind 5.conv is not folded")
    said = run_all(hconv, randomised(Research()), torch.randn(2, 6, 32, 16), "nhwc")
    expect(not said["unserved"], f"all should be served: {said['unserved']}")
    kinds = {entry["problem"].split("_")[0] for entry in said["layers"]}
    expect({"wtconv", "wtconv1d", "octave", "dynamicconv", "odconv", "condconv", "spd", "transposed"} <= kinds, f"only {kinds}")


main()
