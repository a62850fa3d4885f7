"""CIFAR networks of the CRD benchmark in PyTorch, written from the specification; the oracle for //models.

Not a script: imported by make_*.py and bench/torch_step.py.    net = nets.build("resnet8x4", classes=100)
`python3 nets.py` prints the parameter counts and fails when one differs from the table below.

forward(x), x: [n,3,32,32], returns a dict
    post    [f0 .. fK]  stem and stage outputs as the next layer sees them (WRN: raw sums)
    pre     [f0 .. fK]  before the stage's last ReLU (WRN: after the next batch norm, before its ReLU; MobileNetV2: post;
                        ShuffleNetV2: before the last shuffle, too); pre[0] is post[0]
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
    "resnet18_cifar": 11220132, "resnet34_cifar": 21328292, "resnet50_cifar": 23705252,
    "mobilenet_v2_x0_5": 812836, "shufflenet_v1": 949258, "shufflenet_v2": 1355528,
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


# ---- ResNet with four stages and a CIFAR stem (He et al. 2016, section 4.1) ----

class StageBlock(nn.Module):
    """Two 3x3 convolutions, or for expansion 4 a bottleneck with its stride in the middle."""

    def __init__(self, cin, width, stride, expansion):
        super().__init__()
        out = expansion * width
        if expansion == 1:
            convs = [conv(cin, width, 3, stride), conv(width, out, 3)]
        else:
            convs = [conv(cin, width, 1), conv(width, width, 3, stride), conv(width, out, 1)]
        self.convs = len(convs)
        for i, c in enumerate(convs, 1):
            setattr(self, f"conv{i}", c)
            setattr(self, f"bn{i}", nn.BatchNorm2d(c.out_channels))
        self.shortcut = nn.Sequential()
        if stride != 1 or cin != out:
            self.shortcut = nn.Sequential(conv(cin, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        """The sum before the last ReLU."""
        y = x
        for i in range(1, self.convs + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.convs:
                y = F.relu_(y)
        return y + self.shortcut(x)


class StageResNet(nn.Module):
    def __init__(self, blocks, expansion, classes):
        super().__init__()
        self.conv1 = conv(3, 64, 3)
        self.bn1 = nn.BatchNorm2d(64)
        cin = 64
        for s, n in enumerate(blocks):
            stage = []
            for i in range(n):
                stage.append(StageBlock(cin, 64 << s, 2 if s and i == 0 else 1, expansion))
                cin = expansion * (64 << s)
            setattr(self, f"layer{s + 1}", nn.ModuleList(stage))
        self.linear = nn.Linear(cin, classes)

    def forward(self, x, taps=True):
        relu = rectifier(taps)
        x = relu(self.bn1(self.conv1(x)))
        post, pre = [x], [x]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                total = block(x)
                x = relu(total)
            if taps:
                post.append(x)
                pre.append(total)
        pooled = x.mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.linear(pooled)}


# ---- MobileNetV2 (Sandler et al. 2018), half width, stem of stride 2 ----

class InvertedResidual(nn.Module):
    def __init__(self, cin, cout, expansion, stride):
        super().__init__()
        mid = cin * expansion
        self.conv = nn.Sequential(
            conv(cin, mid, 1), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
            nn.Conv2d(mid, mid, 3, stride, padding=1, groups=mid, bias=False), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
            conv(mid, cout, 1), nn.BatchNorm2d(cout))
        self.residual = stride == 1 and cin == cout

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, width, classes):
        super().__init__()
        cin = int(32 * width)
        self.conv1 = nn.Sequential(conv(3, cin, 3, 2), nn.BatchNorm2d(cin), nn.ReLU(inplace=True))
        blocks = []
        for t, c, n, stride in self.STAGES:
            cout, stage = int(c * width), []
            for i in range(n):
                stage.append(InvertedResidual(cin, cout, t, stride if i == 0 else 1))
                cin = cout
            blocks.append(nn.Sequential(*stage))
        self.blocks = nn.ModuleList(blocks)
        self.conv2 = nn.Sequential(conv(cin, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU(inplace=True))
        self.classifier = nn.Sequential(nn.Linear(1280, classes))

    def forward(self, x, taps=True):
        x = self.conv1(x)
        post = [x]
        for i, stage in enumerate(self.blocks, 1):
            x = stage(x)
            if i in (2, 3, 5, 7):
                post.append(x)
        pooled = self.conv2(x).mean((2, 3))
        return {**({"post": post, "pre": post} if taps else {}), "pooled": pooled, "logits": self.classifier(pooled)}


# ---- ShuffleNet (Zhang et al. 2018) with 3 groups, and ShuffleNetV2 (Ma et al. 2018), both with a 1x1 stem ----

def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleUnit(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        branch = cout - cin if stride == 2 else cout
        mid, self.groups, self.stride = branch // 4, 1 if cin == 24 else 3, stride
        self.conv1 = nn.Conv2d(cin, mid, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride, padding=1, groups=mid, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3 = nn.Conv2d(mid, branch, 1, groups=3, bias=False)
        self.bn3 = nn.BatchNorm2d(branch)

    def forward(self, x):
        """Before the last ReLU."""
        y = shuffle(F.relu_(self.bn1(self.conv1(x))), self.groups)
        y = self.bn3(self.conv3(F.relu_(self.bn2(self.conv2(y)))))
        return torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1) if self.stride == 2 else y + x


class ShuffleNetV1(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = conv(3, 24, 1)
        self.bn1 = nn.BatchNorm2d(24)
        cin = 24
        for s, (width, n) in enumerate(((240, 4), (480, 8), (960, 4)), 1):
            units = [ShuffleUnit(cin if i == 0 else width, width, 2 if i == 0 else 1) for i in range(n)]
            setattr(self, f"layer{s}", nn.ModuleList(units))
            cin = width
        self.linear = nn.Linear(960, classes)

    def forward(self, x, taps=True):
        relu = rectifier(taps)
        x = relu(self.bn1(self.conv1(x)))
        post, pre = [x], [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            for unit in stage:
                before = unit(x)
                x = relu(before)
            if taps:
                post.append(x)
                pre.append(before)
        pooled = x.mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.linear(pooled)}


class SplitUnit(nn.Module):
    def __init__(self, half):
        super().__init__()
        self.conv1 = conv(half, half, 1)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv(half, half, 1)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x):
        """The two halves, the second one before its ReLU."""
        kept, y = x.chunk(2, 1)
        y = self.bn2(self.conv2(F.relu_(self.bn1(self.conv1(y)))))
        return kept, self.bn3(self.conv3(y))


class DownUnit(nn.Module):
    def __init__(self, cin, half):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cin, 3, 2, padding=1, groups=cin, bias=False)
        self.bn1 = nn.BatchNorm2d(cin)
        self.conv2 = conv(cin, half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv(cin, half, 1)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, 2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv(half, half, 1)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x):
        left = F.relu_(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = self.bn4(self.conv4(F.relu_(self.bn3(self.conv3(x)))))
        return left, self.bn5(self.conv5(right))


class ShuffleNetV2(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = conv(3, 24, 1)
        self.bn1 = nn.BatchNorm2d(24)
        cin = 24
        for s, (width, n) in enumerate(((116, 3), (232, 7), (464, 3)), 1):
            units = [DownUnit(cin, width // 2)] + [SplitUnit(width // 2) for _ in range(n)]
            setattr(self, f"layer{s}", nn.ModuleList(units))
            cin = width
        self.conv2 = conv(464, 1024, 1)
        self.bn2 = nn.BatchNorm2d(1024)
        self.linear = nn.Linear(1024, classes)

    def forward(self, x, taps=True):
        relu = rectifier(taps)
        x = relu(self.bn1(self.conv1(x)))
        post, pre = [x], [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            for unit in stage:
                kept, normed = unit(x)
                x = shuffle(torch.cat([kept, relu(normed)], 1), 2)
            if taps:
                post.append(x)
                pre.append(torch.cat([kept, normed], 1))
        pooled = F.relu_(self.bn2(self.conv2(x))).mean((2, 3))
        return {**({"post": post, "pre": pre} if taps else {}), "pooled": pooled, "logits": self.linear(pooled)}


STAGE_RESNETS = {"resnet18_cifar": ((2, 2, 2, 2), 1), "resnet34_cifar": ((3, 4, 6, 3), 1),
                 "resnet50_cifar": ((3, 4, 6, 3), 4)}


def build(name, classes=100):
    if name in STAGE_RESNETS:
        return StageResNet(*STAGE_RESNETS[name], classes)
    if name == "mobilenet_v2_x0_5":
        return MobileNetV2(0.5, classes)
    if name in ("shufflenet_v1", "shufflenet_v2"):
        return (ShuffleNetV1 if name.endswith("1") else ShuffleNetV2)(classes)
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
        print(f"{name:18s} {got:10d}")
        assert got == expected, (name, got, expected)
