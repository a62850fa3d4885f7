"""CIFAR networks of the CRD benchmark in PyTorch, written from the specification; the oracle for //models.

Not a script: imported by make_*.py and bench/torch_step.py.    net = nets.build("resnet8x4", classes=100)
`python3 nets.py` prints the parameter counts and fails when one differs from the table below.

forward(x), x: [n,3,32,32], returns a dict
    post    [f0 .. fK]  stem and stage outputs as the next layer sees them (WRN: raw sums)
    pre     [f0 .. fK]  before the stage's last ReLU (WRN: after the next batch norm, before its ReLU); pre[0] is post[0]
    pooled  [n,width]
    logits  [n,classes]
forward(x, taps=False) gives pooled and logits only and rectifies in place wherever it can: the form to time.
Parameter names are those of public RepDistiller checkpoints.
"""

import torch
from torch import nn
from torch.nn import functional as F

# name -> learnable scalars at 100 classes
PARAMS = {
    "resnet8": 83892, "resnet14": 181108, "resnet20": 278324, "resnet32": 472756, "resnet44": 667188,
    "resnet56": 861620, "resnet110": 1736564, "resnet8x4": 1233540, "resnet32x4": 7433860,
    "wrn_16_1": 180916, "wrn_16_2": 703284, "wrn_40_1": 569780, "wrn_40_2": 2255156,
    "vgg8": 3965028, "vgg11": 9277284, "vgg13": 9462180, "vgg16": 14774436, "vgg19": 20086692,
}


def rectifier(taps):
    return F.relu if taps else F.relu_


def conv(cin, cout, kernel, stride=1):
    return nn.Conv2d(cin, cout, kernel, stride, padding=kernel // 2, bias=False)


# ---- ResNet, depth 6k+2, projection shortcuts (He et al. 2016, section 4.2, option B) ----

class ResidualBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = conv(cin, cout, 3, stride)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = conv(cout, cout, 3)
        self.bn2 = nn.BatchNorm2d(cout)
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout))

    def forward(self, x):
        """The sum before the last ReLU."""
        y = self.bn2(self.conv2(F.relu_(self.bn1(self.conv1(x)))))
        return y + (self.downsample(x) if hasattr(self, "downsample") else x)


class ResNet(nn.Module):
    def __init__(self, depth, widths, classes):
        super().__init__()
        assert (depth - 2) % 6 == 0
        self.conv1 = conv(3, widths[0], 3)
        self.bn1 = nn.BatchNorm2d(widths[0])
        for s in (1, 2, 3):
            blocks, cin = [], widths[s - 1]
            for i in range((depth - 2) // 6):
                blocks.append(ResidualBlock(cin, widths[s], 2 if s > 1 and i == 0 else 1))
                cin = widths[s]
            setattr(self, f"layer{s}", nn.ModuleList(blocks))
        self.fc = nn.Linear(widths[3], classes)

    def forward(self, x, taps=True):
        relu = rectifier(taps)
        x = relu(self.bn1(self.conv1(x)))
        post, pre = [x], [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            for block in stage:
                total = block(x)
                x = relu(total)
            if taps:
                post.append(x)
                pre.append(total)
        pooled = x.mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.fc(pooled)}


# ---- WRN, depth 6k+4, pre-activation (Zagoruyko and Komodakis 2016) ----

class WideBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin)
        self.conv1 = conv(cin, cout, 3, stride)
        self.bn2 = nn.BatchNorm2d(cout)
        self.conv2 = conv(cout, cout, 3)
        if cin != cout:
            self.convShortcut = conv(cin, cout, 1, stride)

    def forward(self, x, taps):
        """The raw sum, and bn1(x): the `pre` tap of the stage that ends at x."""
        normed = self.bn1(x)
        active = rectifier(taps)(normed)
        y = self.conv2(F.relu_(self.bn2(self.conv1(active))))
        return y + (self.convShortcut(active) if hasattr(self, "convShortcut") else x), normed


class WideStage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.ModuleList(blocks)


class WideResNet(nn.Module):
    def __init__(self, depth, k, classes):
        super().__init__()
        assert (depth - 4) % 6 == 0
        widths = [16, 16 * k, 32 * k, 64 * k]
        self.conv1 = conv(3, widths[0], 3)
        for s in (1, 2, 3):
            blocks, cin = [], widths[s - 1]
            for i in range((depth - 4) // 6):
                blocks.append(WideBlock(cin, widths[s], 2 if s > 1 and i == 0 else 1))
                cin = widths[s]
            setattr(self, f"block{s}", WideStage(blocks))
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], classes)

    def forward(self, x, taps=True):
        x = self.conv1(x)
        post, pre = [x], [x]
        for s, stage in enumerate((self.block1, self.block2, self.block3)):
            for i, block in enumerate(stage.layer):
                x, normed = block(x, taps)
                if taps and s > 0 and i == 0:
                    pre.append(normed)
            if taps:
                post.append(x)
        pre.append(self.bn1(x))
        pooled = rectifier(taps)(pre[-1]).mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.fc(pooled)}


# ---- VGG with batch norm; at 32x32 groups 3 and 4 both work at 4x4 ----

class Vgg(nn.Module):
    WIDTHS = (64, 128, 256, 512, 512)

    def __init__(self, convs, classes):
        super().__init__()
        cin = 3
        for g, (n, width) in enumerate(zip(convs, self.WIDTHS)):
            layers = []
            for j in range(n):
                if j:
                    layers.append(nn.ReLU(inplace=True))
                layers += [nn.Conv2d(cin, width, 3, padding=1), nn.BatchNorm2d(width)]
                cin = width
            setattr(self, f"block{g}", nn.Sequential(*layers))
        self.classifier = nn.Linear(512, classes)

    def forward(self, x, taps=True):
        relu, post, pre = rectifier(taps), [], []
        for g in range(5):
            before = getattr(self, f"block{g}")(x)
            after = relu(before)
            x = F.max_pool2d(after, 2) if g < 3 else after
            if taps:
                post.append(after)
                pre.append(before if g else after)
        pooled = x.mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.classifier(pooled)}


VGG_CONVS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def build(name, classes=100):
    if name.startswith("wrn_"):
        return WideResNet(*map(int, name.split("_")[1:]), classes)
    if name.startswith("vgg"):
        return Vgg(VGG_CONVS[int(name[3:])], classes)
    if name.startswith("resnet") and name.endswith("x4"):
        return ResNet(int(name[6:-2]), (32, 64, 128, 256), classes)
    if name.startswith("resnet"):
        return ResNet(int(name[6:]), (16, 16, 32, 64), classes)
    raise ValueError(f"no network is called {name}")


def count_params(net):
    return sum(p.numel() for p in net.parameters())


if __name__ == "__main__":
    for name, expected in PARAMS.items():
        got = count_params(build(name))
        print(f"{name:12s} {got:10d}")
        assert got == expected, (name, got, expected)
