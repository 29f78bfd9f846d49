"""Transfer: what other networks see in logit pictures, as they are and distorted: python -m tests.bench.transfer

It needs the extra `transfer`.
"""

import time

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import lab
from lab import routines


def main(classes=20, seeds=1, steps=256):
    """Show logit pictures of the default network to EfficientNet-Lite1 and -Lite2, and print how many they recognize."""
    network, classes_drawn = lab.load(), np.arange(classes) * (1000 // classes) + 7
    others = [lab.load(name) for name in ("efficientnet-lite1", "efficientnet-lite2")]
    start, images = time.perf_counter(), []
    for seed in range(seeds):
        images.append(lab.maximize(network, lab.logit(classes_drawn.tolist()), steps=steps, seed=seed).images)
    seconds = (time.perf_counter() - start) / classes / seeds
    drawn_images = np.round(255 * np.concatenate(images))
    print(f"{classes} classes, {seeds} seeds, {steps} steps: {seconds:.1f} s a unit")
    for name, distort in DISTORTIONS.items():
        shares = [_accuracy(other, distort(drawn_images), np.tile(classes_drawn, seeds)) for other in others]
        print(f"  {name:<14}" + "  ".join(f"{other.name} {share:.2f}" for other, share in zip(others, shares)))


def _accuracy(network, images, classes):
    logits = routines.logits(network, network.preprocess(list(images)))
    return float((logits.argmax(axis=1) == classes).mean())


def _pixelate(images, side=75):
    small = [Image.fromarray(image.astype("uint8")).resize((side, side), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image.resize(images.shape[2:0:-1], Image.Resampling.NEAREST)) for image in small])


DISTORTIONS = {
    "plain": lambda images: images,
    "blurred 2 px": lambda images: gaussian_filter(images, (0, 2, 2, 0)),
    "pixelated 75": _pixelate,
    "grey": lambda images: np.repeat((images @ [0.299, 0.587, 0.114])[..., None], 3, axis=-1),
    "half contrast": lambda images: 127.5 + 0.5 * (images - 127.5),
    "noise .1": lambda images: np.clip(images + 25.5 * np.random.default_rng(0).normal(size=images.shape), 0, 255),
}

if __name__ == "__main__":
    main()
