"""Attention methods on small transformers in torch, from their papers' equations: python transformer_maps.py IN.npz OUT.npz

IN: variables as "network:variable", inputs as "network:inputs", or "network:source" and "network:target", and classes.
OUT: relevance between tokens as "network:method", float64 [samples, read tokens, tokens]; of a decoder also to the source's tokens.
It imports nothing of the lab's, so that TensorFlow and torch never meet in one process.
"""

import sys

import numpy as np
import torch
from torch.nn import functional

# The epsilon of a Keras LayerNormalization.
EPSILON = 1e-3


class Transformer:
    """What runs in a forward pass, with the variables of one network. Each operation is kept with its rule of relevance.

    Args:
        arrays: dict of "network:variable" to an array.
        name: str, the network.
    """

    def __init__(self, arrays, name):
        prefix = f"{name}:"
        self.variables = {
            key[len(prefix) :]: torch.from_numpy(values).double()
            for key, values in arrays.items()
            if key.startswith(prefix) and values.dtype.kind == "f"
        }
        self.operations, self.attentions = [], {}

    def run(self, rule, function, *operands):
        """The result of a function of tensors, which is kept with its rule."""
        result = function(*operands)
        self.operations.append((rule, function, operands, result))
        return result

    def linear(self, equation, x, name):
        """A linear layer, as an einsum of what comes and its kernel."""
        kernel, bias = (self.variables[f"{name}/{part}"] for part in ("kernel", "bias"))
        bias = bias[:, None] if bias.dim() == 2 else bias
        return self.run((of_rising, equation, kernel), lambda x: torch.einsum(equation, x, kernel) + bias, x)

    def dense(self, x, name):
        return self.linear("...c,cd->...d", x, name)

    def norm(self, x, name):
        gamma, beta = self.variables[f"{name}/gamma"], self.variables[f"{name}/beta"]
        return self.run((keep,), lambda x: functional.layer_norm(x, x.shape[-1:], gamma, beta, EPSILON), x)

    def add(self, *parts):
        return self.run((in_shares,), torch.add, *parts)

    def attention(self, x, other, name, is_kept=None):
        """Attention of several heads, whose weights are kept by name."""
        query, key, value = (
            self.linear("btc,chd->bhtd", tokens, f"{name}/{part}")
            for tokens, part in ((x, "query"), (other, "key"), (other, "value"))
        )
        logits = self.run((in_shares,), _compared, query, key)
        if is_kept is not None:
            logits = self.run((keep,), lambda x: x.masked_fill(~is_kept[:, None, None], -1e9), logits)
        self.attentions[name] = weights = self.run((keep,), lambda x: x.softmax(-1), logits)
        passed = self.run((in_shares,), torch.matmul, weights, value)
        return self.linear("bhtd,hdc->btc", passed, f"{name}/attention_output")

    def attend(self, x, name, other=None, is_kept=None):
        h = self.norm(x, f"{name}_norm")
        return self.add(x, self.attention(h, h if other is None else other, name, is_kept))

    def block(self, x, name, other=None, is_kept=None):
        x = self.attend(x, name, is_kept=is_kept)
        x = x if other is None else self.attend(x, f"{name}_cross", other)
        wide = self.run((keep,), functional.gelu, self.dense(x, f"{name}_wide"))
        return self.add(x, self.dense(wide, f"{name}_narrow"))

    def slopes(self, scores):
        """The gradient of each sample's score at all attention weights: dict of name to tensor."""
        return dict(zip(self.attentions, torch.autograd.grad(scores.sum(), list(self.attentions.values()))))

    def relevance(self, scores, start):
        """Relevance of all attention weights (CVPR 2021), begun with 1 at the class: dict of name to tensor."""
        received = {id(scores): start}
        for rule, function, operands, result in reversed(self.operations):
            # Of what the score does not depend on there is none.
            of_result = received.get(id(result))
            if of_result is not None:
                apply, *options = rule
                for operand, part in zip(operands, apply(function, operands, result, of_result, *options)):
                    received[id(operand)] = received.get(id(operand), 0) + part
        return {name: received[id(weights)] for name, weights in self.attentions.items()}


def _compared(query, key):
    return query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5


# Rules of relevance (Chefer, Gur, Wolf, CVPR 2021, section 3) ---------------------------------------------------------------


def divided(a, b):
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))


def keep(function, operands, result, received):
    """Softmax, GELU and LayerNormalization keep relevance."""
    del function, operands, result
    return [received]


def by_taylor(function, operands, result, received):
    """Generic Deep Taylor Decomposition: each operand times the gradient of the function, weighed by relevance over its result."""
    leaves = [operand.detach().requires_grad_() for operand in operands]
    slopes = torch.autograd.grad(function(*leaves), leaves, divided(received, result.detach()))
    return [leaf.detach() * slope for leaf, slope in zip(leaves, slopes)]


def of_rising(function, operands, result, received, equation, kernel):
    """Of a linear layer: only the pairs of number and weight of equal sign count, and no bias does."""
    del function, result
    (x,) = operands

    def rising(positive, negative):
        return torch.einsum(equation, positive, kernel.clamp(min=0)) + torch.einsum(
            equation, negative, kernel.clamp(max=0)
        )

    parts = [x.detach().clamp(min=0), x.detach().clamp(max=0)]
    return [sum(by_taylor(rising, parts, rising(*parts), received))]


def in_shares(function, operands, result, received):
    """Of two tensors: their relevance, normalized by the absolute sums of both in a sample."""
    parts = by_taylor(function, operands, result, received)
    sums = [_of_sample(part) for part in parts]
    sizes, total = sum(value.abs() for value in sums), _of_sample(received)
    return [part * divided(value.abs(), sizes) * divided(total, value) for part, value in zip(parts, sums)]


def _of_sample(values):
    return values.flatten(1).sum(1).reshape(-1, *[1] * (values.dim() - 1))


# Networks -------------------------------------------------------------------------------------------------------------------


def image(net, arrays):
    """A class token before the patches of an image, two layers, read at the class token: logits."""
    pictures = torch.from_numpy(arrays["vit:inputs"]).double()
    kernel = net.variables["patches/kernel"].permute(3, 2, 0, 1)
    patches = functional.conv2d(pictures.permute(0, 3, 1, 2), kernel, net.variables["patches/bias"], kernel.shape[-1])
    tokens = patches.flatten(2).transpose(1, 2)
    x = torch.cat([net.variables["class/variable"].expand(len(tokens), -1, -1), tokens], 1).requires_grad_()
    for name in ("one", "two"):
        x = net.block(x, name)
    return at_first(net, x)


def text(net, arrays):
    """Ids with padding, two layers, the mean of all tokens but padding: logits."""
    ids = torch.from_numpy(arrays["text:inputs"]).long()
    x, is_kept = net.variables["embedding/embeddings"][ids].requires_grad_(), ids != 0
    for name in ("one", "two"):
        x = net.block(x, name, is_kept=is_kept)
    shares = is_kept / is_kept.sum(1, keepdim=True)
    mean = net.run((by_taylor,), lambda x: torch.einsum("btc,bt->bc", x, shares.double()), net.norm(x, "last"))
    return net.dense(mean, "logits")


def translator(net, arrays):
    """An encoder of a series, and a decoder of ids of two layers that reads it, read at its first token: logits."""
    memory = net.block(torch.from_numpy(arrays["translator:source"]).double().requires_grad_(), "encoder")
    x = net.variables["embedding/embeddings"][torch.from_numpy(arrays["translator:target"]).long()].requires_grad_()
    for name in ("decoder", "decoder2"):
        x = net.block(x, name, memory)
    return at_first(net, x)


def at_first(net, x):
    return net.dense(net.run((by_taylor,), lambda x: x[:, 0], net.norm(x, "last")), "logits")


# Methods --------------------------------------------------------------------------------------------------------------------


def identity(count, samples):
    return torch.eye(count).double().expand(samples, -1, -1)


def rollout(weights):
    """Abnar, Zuidema 2020: the product over layers of half the mean of heads and half the identity."""
    product = identity(weights[0].shape[-1], len(weights[0]))
    for layer in weights:
        product = (0.5 * layer.mean(1) + 0.5 * identity(layer.shape[-1], len(layer))) @ product
    return product


def raising(slope, values):
    """The mean over heads of the positive part of gradient times values."""
    return (slope * values).clamp(min=0).mean(1)


def generic(weights, slopes):
    """Chefer, Gur, Wolf, ICCV 2021, equations 5 and 6: self-attention."""
    relevance = identity(weights[0].shape[-1], len(weights[0]))
    for pair in zip(slopes, weights):
        relevance = relevance + raising(*pair) @ relevance
    return relevance


def transformer_attribution(slopes, relevances):
    """Chefer, Gur, Wolf, CVPR 2021, equations 13 and 14."""
    product = identity(slopes[0].shape[-1], len(slopes[0]))
    for pair in zip(slopes, relevances):
        product = (identity(pair[0].shape[-1], len(pair[0])) + raising(*pair)) @ product
    return product


def normalized(relevance):
    """Equations 8 and 9 of ICCV 2021."""
    beside = relevance - identity(relevance.shape[-1], len(relevance))
    return divided(beside, beside.sum(-1, keepdim=True).expand_as(beside)) + identity(
        relevance.shape[-1], len(relevance)
    )


def generic_of_decoder(weights, slopes):
    """ICCV 2021, equations 5 to 11: relevance of a decoder's tokens to its own tokens and to those of the encoder.

    Nothing of the decoder is read by the encoder, so that equation 11 adds nothing.
    """
    of = {name: raising(slopes[name], weights[name]) for name in weights}
    source = identity(of["encoder"].shape[-1], len(of["encoder"]))
    source = source + of["encoder"] @ source
    target = identity(of["decoder"].shape[-1], len(source))
    across = torch.zeros(len(source), target.shape[1], source.shape[1]).double()
    for name in ("decoder", "decoder2"):
        target, across = target + of[name] @ target, across + of[name] @ across
        across = across + normalized(target).transpose(1, 2) @ of[f"{name}_cross"] @ normalized(source)
    return target, across


def rollout_of_decoder(weights):
    """Rollout, where cross-attention leads half of a token on to the encoder's tokens: of its own tokens, and of those."""
    mean = {name: values.mean(1) for name, values in weights.items()}
    source = rollout([weights["encoder"]])
    target = identity(mean["decoder"].shape[-1], len(source))
    across = torch.zeros(len(source), target.shape[1], source.shape[1]).double()
    for name in ("decoder", "decoder2"):
        step = 0.5 * mean[name] + 0.5 * identity(target.shape[1], len(source))
        target, across = step @ target, step @ across
        target, across = 0.5 * target, 0.5 * across + 0.5 * mean[f"{name}_cross"] @ source
    return target, across


def of_encoder(arrays, name, build):
    """All that is computed for an encoder: dict of "network:method" to a tensor."""
    net = Transformer(arrays, name)
    logits = build(net, arrays)
    start = functional.one_hot(torch.from_numpy(arrays["classes"]), logits.shape[1]).double()
    slopes = net.slopes((logits * start).sum(1))
    weights, inner = list(net.attentions.values()), list(slopes.values())
    relevances = list(net.relevance(logits, start).values())
    return {
        f"{name}:logits": logits,
        f"{name}:rollout": rollout(weights),
        f"{name}:chefer": generic(weights, inner),
        f"{name}:transformer_attribution": transformer_attribution(inner, relevances),
    } | _of_heads(name, net, slopes)


def of_decoder(arrays, name, build):
    """All that is computed for an encoder with a decoder: as `of_encoder`."""
    net = Transformer(arrays, name)
    logits = build(net, arrays)
    slopes = net.slopes(logits[torch.arange(len(logits)), torch.from_numpy(arrays["classes"])])
    (target, source), (rolled, read) = generic_of_decoder(net.attentions, slopes), rollout_of_decoder(net.attentions)
    maps = {"chefer/target": target, "chefer/source": source, "rollout/target": rolled, "rollout/source": read}
    return {f"{name}:{key}": values for key, values in {"logits": logits, **maps}.items()} | _of_heads(
        name, net, slopes
    )


def _of_heads(name, net, slopes):
    """Weights, and the importance of heads: |d score / d m| of a factor m of each head (Michel, Levy, Neubig 2019)."""
    importance = {
        head: torch.einsum("bhqk,bhqk->bh", slopes[head], weights).abs() for head, weights in net.attentions.items()
    }
    return {f"{name}:weights/{head}": values for head, values in net.attentions.items()} | {
        f"{name}:importance/{head}": values for head, values in importance.items()
    }


def main(arrays_file, maps_file):
    arrays = dict(np.load(arrays_file))
    maps = of_encoder(arrays, "vit", image) | of_encoder(arrays, "text", text)
    maps |= of_decoder(arrays, "translator", translator)
    np.savez(maps_file, **{name: values.detach().numpy() for name, values in maps.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
