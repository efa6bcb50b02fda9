"""The model of `video.py` in PyTorch, written as its users would write it; it takes a step when it is asked to."""

import json
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Pre-norm attention over another series, each step within a window of time."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.query_norm, self.context_norm = nn.LayerNorm(dim, eps=1e-3), nn.LayerNorm(dim, eps=1e-3)
        self.query_dense, self.value_dense, self.output_dense = (nn.Linear(dim, dim) for _ in range(3))
        self.key_dense = nn.Linear(dim, dim, bias=False)

    def forward(self, query, context, mask):
        rows, length, dim = query.shape
        context = self.context_norm(context)
        q, k, v = (
            x.view(rows, -1, self.heads, dim // self.heads).transpose(1, 2)
            for x in (self.query_dense(self.query_norm(query)), self.key_dense(context), self.value_dense(context))
        )
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return query + self.output_dense(found.transpose(1, 2).reshape(rows, length, dim))


class Model(nn.Module):
    """Frames and sound, each looking at the other, gated at each frame, and an LSTM from both ends."""

    def __init__(self, sizes, num_classes):
        super().__init__()
        dim, stages, channels = sizes["dim"], [], 3
        for width in sizes["widths"]:
            for _ in range(2):
                stages += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.GroupNorm(8, width), nn.ReLU()]
                channels = width
            stages.append(nn.MaxPool2d(2))
        self.still = nn.Sequential(*stages)
        first, second = sizes["strides"]
        self.sound = nn.Sequential(
            nn.Conv1d(1, sizes["sound_width"], sizes["first_kernel"], first), nn.ReLU(),
            nn.Conv1d(sizes["sound_width"], sizes["sound_width"], 9, second), nn.ReLU(),
        )  # fmt: skip
        self.projection_0, self.projection_1 = nn.Linear(sizes["sound_width"], dim), nn.Linear(channels, dim)
        self.origin = nn.Parameter(torch.zeros(2, dim))
        self.attention_0, self.attention_1 = Attention(dim, sizes["heads"]), Attention(dim, sizes["heads"])
        self.gate = nn.Linear(2 * dim, dim)
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(dim, num_classes)
        self.window, self.dim = sizes["window"], dim

    def forward(self, frames, audio):
        rows, count = frames.shape[:2]
        seen = self.still(frames.flatten(0, 1) / 255).mean(dim=(2, 3)).view(rows, count, -1)
        heard = self.sound(audio[:, None]).transpose(1, 2)
        seen, heard = self.projection_1(seen), self.projection_0(heard)
        ratio = heard.shape[1] / count
        times_seen = torch.arange(count) + 0.5
        times_heard = (torch.arange(heard.shape[1]) + 0.5) / ratio
        waves_seen, waves_heard = self.waves(times_seen), self.waves(times_heard)
        near = (times_seen[:, None] - times_heard[None, :]).abs() <= self.window
        timed_seen, timed_heard = seen + waves_seen, heard + waves_heard
        looked = self.attention_1(timed_seen, timed_heard + self.origin[0], near) - waves_seen
        listened = self.attention_0(timed_heard, timed_seen + self.origin[1], near.T) - waves_heard
        place = (times_seen * ratio - 0.5).clip(0, heard.shape[1] - 1)
        weights = (1 - (place[:, None] - torch.arange(heard.shape[1])).abs() / max(ratio, 1.0)).clip(min=0)
        aligned = (weights / weights.sum(dim=1, keepdim=True)) @ listened
        gate = torch.sigmoid(self.gate(torch.cat([aligned, looked], dim=-1)))
        fused = looked + gate * (aligned - looked)
        return self.head(self.lstm(fused)[0].mean(dim=1))

    def waves(self, times):
        rates = torch.exp(-math.log(10000.0) * 2 * (torch.arange(self.dim) // 2) / self.dim)
        angles = times[:, None] * rates
        return torch.where(torch.arange(self.dim) % 2 == 0, torch.sin(angles), torch.cos(angles))


def load(model, arrays):
    """Weights of Keras in the model."""
    tensors = {}
    for part, axes in (("still", (3, 2, 0, 1)), ("sound", (2, 1, 0))):
        kept = [index for index, layer in enumerate(getattr(model, part)) if list(layer.parameters())]
        for number, index in enumerate(kept):
            for ours, theirs in (("kernel", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
                if f"{part}_{number}_{ours}" in arrays:
                    value = arrays[f"{part}_{number}_{ours}"]
                    tensors[f"{part}.{index}.{theirs}"] = value.transpose(axes) if ours == "kernel" else value
    names = ["projection_0", "projection_1", "gate", "head"]
    names += [
        f"attention_{index}_{name}"
        for index in range(2)
        for name in ("query_norm", "context_norm", "query_dense", "key_dense", "value_dense", "output_dense")
    ]
    for name in names:
        place = name.replace("attention_0_", "attention_0.").replace("attention_1_", "attention_1.")
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
            if f"{name}_{ours}" in arrays:
                tensors[f"{place}.{theirs}"] = arrays[f"{name}_{ours}"].T
    for way, suffix in (("forward", ""), ("backward", "_reverse")):
        tensors[f"lstm.weight_ih_l0{suffix}"] = arrays[f"{way}_kernel"].T
        tensors[f"lstm.weight_hh_l0{suffix}"] = arrays[f"{way}_recurrent_kernel"].T
        tensors[f"lstm.bias_ih_l0{suffix}"] = arrays[f"{way}_bias"]
        tensors[f"lstm.bias_hh_l0{suffix}"] = np.zeros_like(arrays[f"{way}_bias"])
    tensors["origin"] = arrays["origin"]
    model.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in tensors.items()})


def main():
    arrays, sizes = np.load(sys.argv[1]), json.loads(sys.argv[2])
    sizes["sound_width"], sizes["first_kernel"] = arrays["sound_0_kernel"].shape[-1], arrays["sound_0_kernel"].shape[0]
    model = Model(sizes, arrays["head_bias"].shape[0])
    load(model, arrays)
    # As convolutions run fastest on a CPU.
    model.still.to(memory_format=torch.channels_last)
    frames = torch.tensor(arrays["frames"]).permute(0, 1, 4, 2, 3)
    audio, label = torch.tensor(arrays["audio"]), torch.tensor(arrays["label"])
    optimizer = torch.optim.Adam(model.parameters(), lr=sizes["rate"])
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for _ in sys.stdin:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(frames, audio), label)
        loss.backward()
        optimizer.step()
        print(json.dumps({"loss": loss.item()}), flush=True)


if __name__ == "__main__":
    main()
