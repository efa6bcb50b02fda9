"""The network of `gpu.py` in PyTorch, written as its users would write it: the other side of that comparison."""

import time
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Convolution(nn.Conv2d):
    """A convolution without bias; `keras_padding` pads strided ones below and right, as Keras does."""

    keras_padding = False

    def __init__(self, inputs, outputs, stride=1, kernel_size=3):
        super().__init__(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)

    def forward(self, x):
        if not self.keras_padding or self.stride[0] == 1 or self.kernel_size[0] == 1:
            return super().forward(x)
        return functional.conv2d(functional.pad(x, (0, 1, 0, 1)), self.weight, stride=self.stride)


class Block(nn.Module):
    """A pre-activation residual block."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm_a = nn.GroupNorm(8, inputs, eps=1e-3)
        self.conv_a = Convolution(inputs, outputs, stride)
        self.norm_b = nn.GroupNorm(8, outputs, eps=1e-3)
        projects = stride > 1 or inputs != outputs
        self.shortcut = Convolution(inputs, outputs, stride, kernel_size=1) if projects else None
        self.conv_b = Convolution(outputs, outputs)

    def forward(self, x):
        activated = functional.relu(self.norm_a(x))
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.conv_b(functional.relu(self.norm_b(self.conv_a(activated))))


class CrossAttention(nn.Module):
    """Pre-norm residual attention of one sequence over another."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query_norm = nn.LayerNorm(dim, eps=1e-3)
        self.context_norm = nn.LayerNorm(dim, eps=1e-3)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, query, context, context_mask=None):
        normed = self.context_norm(context)
        heads = [self.query(self.query_norm(query)), self.key(normed), self.value(normed)]
        heads = [x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in heads]  # (batch, head, time, dim)
        mask = None if context_mask is None else context_mask[:, None, None, :]
        gathered = functional.scaled_dot_product_attention(*heads, attn_mask=mask)
        return query + self.output(gathered.transpose(1, 2).flatten(2))


class Classifier(nn.Module):
    """Image and text in, logits out; modules stand in the order of the weights of the Keras model."""

    def __init__(self, sizes):
        super().__init__()
        width, units = sizes["width"], sizes["units"]
        self.stem = Convolution(3, width, stride=2)
        channels = [width, width, 2 * width, 4 * width]
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, stride=1 if stage == 0 else 2)
            for stage, (inputs, outputs) in enumerate(pairwise(channels))
        )
        self.final_norm = nn.GroupNorm(8, channels[-1], eps=1e-3)
        self.embedding = nn.Embedding(sizes["vocabulary"], sizes["embedding_dim"])
        self.lstm = nn.LSTM(sizes["embedding_dim"], units, batch_first=True)
        # Keras has one bias per gate; the second of PyTorch stays at zero and does not train.
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)
        dim = min(channels[-1], units)
        self.project_image = nn.Identity() if channels[-1] == dim else nn.Linear(channels[-1], dim)
        self.project_text = nn.Identity() if units == dim else nn.Linear(units, dim)
        self.image_attends = CrossAttention(dim, sizes["num_heads"])
        self.text_attends = CrossAttention(dim, sizes["num_heads"])
        self.head = nn.Linear(dim, sizes["classes"])

    def forward(self, image, token_ids):
        x = self.stem(image / 127.5 - 1.0)
        for block in self.blocks:
            x = block(x)
        image = self.project_image(functional.relu(self.final_norm(x)).flatten(2).transpose(1, 2))
        mask = token_ids != 0
        # Padding stands on the right, so it cannot reach the states before it; the attention masks it.
        text = self.project_text(self.lstm(self.embedding(token_ids))[0] * mask[..., None])
        attended = [self.image_attends(image, text, mask), self.text_attends(text, image)]
        present = torch.cat([mask.new_ones(image.shape[:2]), mask], dim=1)[..., None]
        return self.head((torch.cat(attended, dim=1) * present).sum(1) / present.sum(1))


class Trainer:
    """Trains the classifier on made-up batches; `round` is what gets timed."""

    def __init__(self, sizes, seed, device):
        torch.manual_seed(seed)
        # Shapes never change, so cuDNN may look for its fastest algorithms, as XLA does.
        torch.backends.cudnn.benchmark = True
        self.device = torch.device(device)
        self.sizes = sizes
        self.model = Classifier(sizes).to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, fused=device == "cuda")
        self.step, self.mode = self._step, "eager"

    def parameters(self):
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)

    def spread_of_difference(self, weights, image, token_ids, expected):
        """Load the weights of the Keras model and return how far its probabilities are from ours.

        The root mean square of the difference, as a share of how much the probabilities vary between samples.
        """
        start = {name: value.clone() for name, value in self.model.state_dict().items()}
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        for parameter, weight in zip(trained, weights, strict=True):
            weight = torch.as_tensor(weight)
            if weight.ndim == 4:
                weight = weight.permute(3, 2, 0, 1)
            elif weight.ndim == 2 and parameter is not self.model.embedding.weight:
                weight = weight.T
            with torch.no_grad():
                parameter.copy_(weight)
        Convolution.keras_padding = True
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = self.model(*self._place(image, token_ids))
        Convolution.keras_padding = False
        self.model.load_state_dict(start)
        difference = logits.softmax(-1).cpu() - torch.as_tensor(expected)
        return float(difference.square().mean().sqrt() / torch.as_tensor(expected).std(0).mean())

    def prepare(self, batches, *, compiled=True):
        """Place the batches and warm up, compiled if that works here."""
        self.batches = [(*self._place(image, ids), torch.as_tensor(y).to(self.device)) for image, ids, y in batches]
        if compiled:
            self.step, self.mode = torch.compile(self._step), "compiled"
            try:
                self.round(2)
            except Exception as error:  # Whatever torch.compile lacks here, the comparison goes on without it.
                print(f"torch.compile does not run here ({type(error).__name__}): eager instead", flush=True)
                self.step, self.mode = self._step, "eager"
        self.round(2)

    def round(self, steps):
        """Train so many steps and return the seconds they took."""
        totals = torch.zeros(2, device=self.device)
        self._wait()
        start = time.perf_counter()
        for index in range(steps):
            loss, correct = self.step(*self.batches[index % len(self.batches)])
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            totals += torch.stack([loss.detach(), correct])
        totals.tolist()
        self._wait()
        return time.perf_counter() - start

    def device_peak_mb(self):
        return torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None

    def _step(self, image, token_ids, labels):
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.model(image, token_ids)
        loss = functional.cross_entropy(logits.float(), labels)
        return loss, (logits.argmax(-1) == labels).float().mean()

    def _place(self, image, token_ids):
        image = torch.as_tensor(image).permute(0, 3, 1, 2).to(self.device, memory_format=torch.channels_last)
        return image, torch.as_tensor(token_ids).to(self.device)

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()
