"""The decoder of `generate.py` in PyTorch, written as its users would write it; it answers requests line by line."""

import json
import sys

import numpy as np
import torch
from torch import nn


class Decoder(nn.Module):
    """An LSTM with additive attention over the tokens of a context."""

    def __init__(self, vocabulary, units, dim, context_dim):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.start = nn.Linear(context_dim, 2 * units)
        self.cell = nn.LSTMCell(dim + context_dim, units)
        self.query = nn.Linear(units, units, bias=False)
        self.key = nn.Linear(context_dim, units)
        self.score = nn.Linear(units, 1, bias=False)
        self.output = nn.Linear(units + context_dim, dim)
        self.words = nn.Linear(dim, vocabulary)

    def forward(self, token, hidden, cell, context, keys):
        """Logits of the next word and the new state."""
        scores = self.score(torch.tanh(self.query(hidden)[:, None, :] + keys))[..., 0]
        looked_at = torch.einsum("bk,bkd->bd", torch.softmax(scores, dim=-1), context)
        hidden, cell = self.cell(torch.cat([self.embedding(token), looked_at], dim=-1), (hidden, cell))
        said = torch.tanh(self.output(torch.cat([hidden, looked_at], dim=-1)))
        return self.words(said), hidden, cell

    def begin(self, context):
        halves = torch.tanh(self.start(context.mean(dim=1))).chunk(2, dim=-1)
        return [half.contiguous() for half in halves]


def greedy(decoder, step, context, start_id, length):
    hidden, cell = decoder.begin(context)
    keys = decoder.key(context)
    token = torch.full((len(context),), start_id)
    said = []
    for _ in range(length):
        logits, hidden, cell = step(token, hidden, cell, context, keys)
        token = logits.argmax(dim=-1)
        said.append(token)
    return torch.stack(said, dim=1)


def beam(decoder, step, context, start_id, length, beams=4):
    rows = len(context)
    hidden, cell = (x.repeat_interleave(beams, dim=0) for x in decoder.begin(context))
    keys = decoder.key(context).repeat_interleave(beams, dim=0)
    context = context.repeat_interleave(beams, dim=0)
    token = torch.full((rows * beams,), start_id)
    scores = torch.full((rows, beams), -1e9)
    scores[:, 0] = 0
    said = torch.zeros((rows, beams, length), dtype=torch.long)
    first = torch.arange(rows)[:, None] * beams
    for index in range(length):
        logits, hidden, cell = step(token, hidden, cell, context, keys)
        found = torch.log_softmax(logits, dim=-1).view(rows, beams, -1) + scores[..., None]
        scores, chosen = found.view(rows, -1).topk(beams, dim=-1)
        source, words = chosen // found.shape[-1], chosen % found.shape[-1]
        flat = (first + source).view(-1)
        hidden, cell, token = hidden[flat], cell[flat], words.view(-1)
        said = said.view(rows * beams, length)[flat].view(rows, beams, length)
        said[:, :, index] = words
    return said[torch.arange(rows), scores.argmax(dim=-1)]


def main():
    stored = np.load(sys.argv[1])
    weights = {name: torch.from_numpy(stored[name]) for name in stored.files}
    contexts = {name[len("context_") :]: weights.pop(name) for name in list(weights) if name.startswith("context_")}
    sizes = json.loads(sys.argv[2])
    start_id, length = sizes.pop("start_id"), sizes.pop("length")
    decoder = Decoder(**sizes).eval()
    decoder.load_state_dict(weights)
    # One entry per batch size and search, more than are kept by default: beyond that it would run uncompiled, silently.
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    steps = {"loop": decoder, "compiled": torch.compile(decoder, dynamic=False)}
    searches = {"greedy": greedy, "beam": beam}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            asked = json.loads(line)
            search, step = searches[asked["search"]], steps[asked["step"]]
            ids = search(decoder, step, contexts[asked["batch"]], start_id, length)
            print(json.dumps({"ids": ids.tolist()}), flush=True)


if __name__ == "__main__":
    main()
