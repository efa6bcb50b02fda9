"""Slow and obvious NumPy versions of what the package computes, and access to the weights of a layer."""

import math

import numpy as np

from tests.conformance.backend import array


def randomize(layer, seed=0):
    """Give every weight of a built layer values that no initializer gives: no zero bias, no unit scale."""
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return layer


def weights_of(layer):
    """Weights by their path below the layer, such as `query/kernel`."""
    return {v.path.split(f"{layer.name}/", 1)[1]: array(v.value).astype("float64") for v in layer.weights}


def below(weights, prefix):
    """The weights of a sublayer, by their path below it."""
    return {path[len(prefix) + 1 :]: value for path, value in weights.items() if path.startswith(f"{prefix}/")}


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, "float64")))


def softmax(scores, mask=None):
    """Softmax along the last axis over the allowed positions, one row at a time."""
    scores = np.asarray(scores, "float64")
    mask = np.broadcast_to(True if mask is None else mask, scores.shape)
    weights = np.zeros(scores.shape)
    for row in np.ndindex(scores.shape[:-1]):
        allowed = np.flatnonzero(mask[row])
        if len(allowed):
            powers = np.exp(scores[row][allowed] - scores[row][allowed].max())
            weights[row][allowed] = powers / powers.sum()
    return weights


def attention(query, key, value, mask=None):
    """Attended values (batch, query, head, dim) and weights (batch, head, query, key), one query at a time."""
    batch, queries, heads, dim = query.shape
    keys = key.shape[1]
    mask = np.broadcast_to(True if mask is None else mask, (batch, heads, queries, keys))
    attended = np.zeros((batch, queries, heads, value.shape[-1]))
    weights = np.zeros((batch, heads, queries, keys))
    for b, h, q in np.ndindex(batch, heads, queries):
        scores = [query[b, q, h] @ key[b, k, h] / math.sqrt(dim) for k in range(keys)]
        weights[b, h, q] = softmax(scores, mask[b, h, q])
        for k in range(keys):
            attended[b, q, h] += weights[b, h, q, k] * value[b, k, h]
    return attended, weights


def dense(weights, name, x):
    return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)


def layer_norm(weights, name, x, epsilon=1e-3):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def cross_modal_attention(weights, query, context, num_heads, *, mask=None, causal=False, residual=True):
    """Output and scores of `CrossModalAttention`; normalises and gates where there are weights for it."""
    normed = layer_norm(weights, "query_norm", query) if "query_norm/gamma" in weights else query
    source = layer_norm(weights, "context_norm", context) if "context_norm/gamma" in weights else context
    batch, queries, keys = query.shape[0], query.shape[1], context.shape[1]

    def heads(name, x):
        projected = dense(weights, name, x)
        return projected.reshape(batch, x.shape[1], num_heads, projected.shape[-1] // num_heads)

    allowed = np.ones((batch, num_heads, queries, keys), bool)
    for b, _, q, k in np.ndindex(allowed.shape):
        if (mask is not None and not mask[b, k]) or (causal and k > q):
            allowed[b, :, q, k] = False
    attended, scores = attention(heads("query", normed), heads("key", source), heads("value", source), allowed)
    gathered = dense(weights, "output", attended.reshape(batch, queries, -1))
    for b, q in np.ndindex(batch, queries):
        if not allowed[b, 0, q].any():
            gathered[b, q] = 0.0
    if "gate/kernel" in weights:
        gathered = gathered * sigmoid(dense(weights, "gate", np.concatenate([query, gathered], axis=-1)))
    return query * residual + gathered, scores


def gelu(x):
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def transformer_block(weights, tokens, num_heads, *, context=None, mask=None, context_mask=None, causal=False):
    normed = layer_norm(weights, "self_norm", tokens)
    own = below(weights, "self_attention")
    tokens = tokens + cross_modal_attention(own, normed, normed, num_heads, mask=mask, causal=causal, residual=False)[0]
    if context is not None:
        cross = below(weights, "cross_attention")
        tokens = cross_modal_attention(cross, tokens, context, num_heads, mask=context_mask)[0]
    hidden = gelu(dense(weights, "hidden", layer_norm(weights, "feedforward_norm", tokens)))
    return tokens + dense(weights, "output", hidden)


def convolution(x, kernel, stride):
    """Convolution whose output step i is centred on input step i * stride, with nothing beyond the edges."""
    left = (kernel.shape[0] - 1) // 2
    steps = [-(-size // stride) for size in x.shape[1:-1]]
    output = np.zeros((x.shape[0], *steps, kernel.shape[-1]))
    for position in np.ndindex(*steps):
        for offset in np.ndindex(kernel.shape[:-2]):
            source = tuple(p * stride + o - left for p, o in zip(position, offset, strict=True))
            if all(0 <= s < size for s, size in zip(source, x.shape[1:-1], strict=True)):
                output[(slice(None), *position)] += x[(slice(None), *source)] @ kernel[offset]
    return output


def mel(frequency):
    return 1127.0 * math.log(1.0 + frequency / 700.0)


def mel_filters(num_mels, num_bins, sample_rate, low, high):
    """Triangles of height one, equally spaced and straight on the mel scale; (bin, mel)."""
    edges = np.linspace(mel(low), mel(high), num_mels + 2)
    filters = np.zeros((num_bins, num_mels))
    for index in range(1, num_bins):
        place = mel(index * sample_rate / 2 / (num_bins - 1))
        for number in range(num_mels):
            left, centre, right = edges[number : number + 3]
            filters[index, number] = max(0.0, min((place - left) / (centre - left), (right - place) / (right - centre)))
    return filters


def log_mel(audio, filters, frame_length, stride, floor):
    """Log-mel frames of one clip (sample,), frame i centred on sample i * stride, silence beyond both ends."""
    window = [0.5 - 0.5 * math.cos(2.0 * math.pi * n / frame_length) for n in range(frame_length)]
    frames = []
    for centre in range(0, len(audio), stride):
        frame = np.zeros(frame_length)
        for n in range(frame_length):
            sample = centre - frame_length // 2 + n
            if 0 <= sample < len(audio):
                frame[n] = audio[sample] * window[n]
        power = np.abs(np.fft.rfft(frame)) ** 2
        frames.append(np.log(np.maximum(power @ filters, floor)))
    return np.stack(frames)
