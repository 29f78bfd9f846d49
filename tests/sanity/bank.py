"""A bank of explainers, written without a look at the checks: what is blind, what is wrong, and what is right but unusual.

    BLIND, WRONG, RIGHT     dicts of name to `explainer(network, inputs, objective)`, some with `*, seed`
    IMAGES                  names of those that take images alone, [batch, rows, columns, channels]
    BATCHES                 names of those that say what their name says for two samples or more

BLIND explainers never look at the network: their maps are equal to the bit on any two networks. WRONG ones look, and explain
something else. RIGHT ones follow the score that was asked, in another form than the usual one.
All others take series [batch, steps, channels] and tables [batch, columns] too. The objective asks for one class of a
classification, as `lab.logit` does. Maps have the inputs' shape, but for the coarse ones: [batch, rows, columns].
"""

import functools
import itertools
import zlib

import numpy as np
from scipy import ndimage

import lab
from lab import routines
from lab.environment import tf

BLIND, WRONG, RIGHT = {}, {}, {}
IMAGES, BATCHES = set(), set()


def member(bank, *sets):
    """Puts a function into a bank under its name, and its name into sets."""

    def register_explainer(explainer):
        bank[explainer.__name__] = explainer
        for names in sets:
            names.add(explainer.__name__)
        return explainer

    return register_explainer


def add_to_bank(name, explainer, bank, *sets):
    """Puts an explainer that another function returned into a bank."""
    explainer.__name__ = explainer.__qualname__ = name
    member(bank, *sets)(explainer)


# What all share ---------------------------------------------------------------------------------------------------------


def classes_of(inputs, objective):
    """The class asked of each sample: int32 [batch]."""
    return objective.numbers(len(inputs))[0][0]


def axes_of(inputs):
    """The axes of positions: all between the first and the last, or the columns of a table."""
    return tuple(range(1, max(2, inputs.ndim - 1)))


def extent_of(inputs):
    return tuple(inputs.shape[axis] for axis in axes_of(inputs))


def per_axis(inputs, value, other=0):
    """One value for each axis: `value` for positions, `other` for the batch and the channels."""
    return tuple(value if axis in axes_of(inputs) else other for axis in range(inputs.ndim))


def broadcast_field(field, inputs):
    """A field over positions, [*extent] or [batch, *extent], as maps in the inputs' shape."""
    field = np.asarray(field, "float32")
    field = field if field.ndim > len(extent_of(inputs)) else field[None]
    field = field[..., None] if inputs.ndim > 2 else field
    return np.ascontiguousarray(np.broadcast_to(field, inputs.shape))


def grid(extent):
    """The centre of each position along each axis, in 0..1."""
    return np.meshgrid(*((np.arange(size) + 0.5) / size for size in extent), indexing="ij")


def bump(extent, centre, width):
    return np.exp(-sum((place - middle) ** 2 for place, middle in zip(grid(extent), centre)) / (2 * width**2))


def generator(sample, *numbers):
    """A random generator seeded by a sample's bytes and by numbers."""
    return np.random.default_rng([zlib.crc32(np.ascontiguousarray(sample)), *map(int, numbers)])


def smooth_field(rng, extent):
    return ndimage.gaussian_filter(rng.standard_normal(extent), [size / 10 for size in extent], mode="wrap")


def cycle(count, seed=0):
    """A permutation of one cycle, so that nothing stays where it is (for two or more)."""
    ring = np.random.default_rng(seed).permutation(count)
    order = np.empty(count, int)
    order[ring] = np.roll(ring, 1)
    return order


def per_sample(function, maps):
    """A reduction of each sample's map, shaped to broadcast against the maps."""
    return function(maps.reshape(len(maps), -1), axis=1).reshape(-1, *[1] * (maps.ndim - 1))


def normalize(maps):
    """Each map divided by its largest magnitude; a map of zeros stays."""
    largest = per_sample(np.max, np.abs(maps))
    return maps / np.where(largest > 0, largest, 1)


def blur_positions(inputs, share=0.125):
    """Inputs smoothed over positions, with a width of that share of each side."""
    widths = [inputs.shape[axis] * share if axis in axes_of(inputs) else 0 for axis in range(inputs.ndim)]
    return ndimage.gaussian_filter(inputs, widths).astype("float32")


def plain_fill(inputs):
    """Each channel's mean over positions; zeros for tables, whose columns share no unit."""
    if inputs.ndim == 2:
        return np.zeros_like(inputs)
    return np.broadcast_to(inputs.mean(axis=axes_of(inputs), keepdims=True), inputs.shape).astype("float32")


# Blind: filters of the image --------------------------------------------------------------------------------------------


def image_filter(function):
    """A blind explainer from a function of the inputs, in float64, that gives maps of their shape or of their positions."""

    @functools.wraps(function)
    def explainer(network, inputs, objective):
        del network, objective
        maps = function(np.asarray(inputs, "float64"))
        return np.ascontiguousarray(maps, "float32") if maps.shape == inputs.shape else broadcast_field(maps, inputs)

    return member(BLIND)(explainer)


def brightness(inputs):
    return inputs.mean(axis=-1) if inputs.ndim > 2 else inputs


@image_filter
def input_itself(inputs):
    return inputs


@image_filter
def input_squared(inputs):
    return inputs**2


@image_filter
def max_less_input(inputs):
    return per_sample(np.max, inputs) - inputs


@image_filter
def laplacian(inputs):
    return sum(ndimage.convolve1d(inputs, [1, -2, 1], axis=axis) for axis in axes_of(inputs))


@image_filter
def corners(inputs):
    """The response of Harris and Stephens: determinant less .05 times the squared trace of the structure tensor."""
    grey = brightness(inputs)
    axes = tuple(range(1, grey.ndim))
    slopes = [ndimage.convolve1d(grey, [-1, 0, 1], axis=axis) for axis in axes]
    widths = (0, *[1.5] * len(axes))
    tensor = [[ndimage.gaussian_filter(one * other, widths) for one in slopes] for other in slopes]
    tensor = np.moveaxis(np.array(tensor), (0, 1), (-2, -1))
    return np.linalg.det(tensor) - 0.05 * np.trace(tensor, axis1=-2, axis2=-1) ** 2


@image_filter
def local_contrast(inputs):
    return np.abs(inputs - ndimage.uniform_filter(inputs, per_axis(inputs, 5, other=1)))


@image_filter
def local_deviation(inputs):
    size = per_axis(inputs, 5, other=1)
    mean = ndimage.uniform_filter(inputs, size)
    return np.sqrt(np.maximum(ndimage.uniform_filter(inputs**2, size) - mean**2, 0))


@image_filter
def local_entropy(inputs):
    """Of eight levels of brightness, over windows of five."""
    grey = brightness(inputs)
    low, high = per_sample(np.min, grey), per_sample(np.max, grey)
    levels = np.floor(7.999 * (grey - low) / np.maximum(high - low, 1e-12))
    size = (1, *[5] * (grey.ndim - 1))
    shares = [ndimage.uniform_filter(1.0 * (levels == level), size) for level in range(8)]
    return -sum(share * np.log(np.maximum(share, 1e-12)) for share in shares)


@image_filter
def difference_of_gaussians(inputs):
    narrow, wide = (ndimage.gaussian_filter(inputs, per_axis(inputs, sigma)) for sigma in (1, 3))
    return narrow - wide


@image_filter
def median_residual(inputs):
    return np.abs(inputs - ndimage.median_filter(inputs, per_axis(inputs, 3, other=1)))


@image_filter
def colour_saliency(inputs):
    """The distance of the smoothed colour to the image's mean colour (Achanta et al. 2009)."""
    difference = ndimage.gaussian_filter(inputs, per_axis(inputs, 1)) - inputs.mean(axis=axes_of(inputs), keepdims=True)
    return np.sqrt((difference**2).sum(axis=-1)) if inputs.ndim > 2 else np.abs(difference)


@image_filter
def spectral_residual(inputs):
    """What the log spectrum has beyond its own local mean (Hou, Zhang 2007)."""
    grey = brightness(inputs)
    axes = tuple(range(1, grey.ndim))
    spectrum = np.fft.fftn(grey, axes=axes)
    logs = np.log(np.abs(spectrum) + 1e-9)
    residual = logs - ndimage.uniform_filter(logs, (1, *[3] * len(axes)), mode="wrap")
    saliency = np.abs(np.fft.ifftn(np.exp(residual + 1j * np.angle(spectrum)), axes=axes)) ** 2
    return ndimage.gaussian_filter(saliency, (0, *[1.5] * len(axes)))


@image_filter
def distance_to_sample_mean(inputs):
    return np.abs(inputs - inputs.mean(axis=axes_of(inputs), keepdims=True))


@image_filter
def bright_fifth(inputs):
    """One where the brightness is among the highest fifth of the sample, zero elsewhere."""
    grey = brightness(inputs)
    return 1.0 * (grey >= per_sample(functools.partial(np.quantile, q=0.8), grey))


@image_filter
def rank_of_brightness(inputs):
    flat = brightness(inputs).reshape(len(inputs), -1)
    return flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable").reshape(brightness(inputs).shape)


@image_filter
def contrast_in_the_middle(inputs):
    contrast = np.abs(inputs - ndimage.gaussian_filter(inputs, per_axis(inputs, 2)))
    extent = extent_of(inputs)
    return contrast * broadcast_field(bump(extent, [0.5] * len(extent), 0.25), inputs)


@image_filter
def batch_mean(inputs):
    return np.broadcast_to(inputs.mean(axis=0), inputs.shape)


@image_filter
def distance_to_batch_mean(inputs):
    return np.abs(inputs - inputs.mean(axis=0))


@image_filter
def white_noise_of_the_image(inputs):
    return np.stack([generator(sample).standard_normal(sample.shape) for sample in inputs])


@image_filter
def smooth_noise_of_the_image(inputs):
    return np.stack([smooth_field(generator(sample), extent_of(inputs)) for sample in inputs])


BATCHES |= {"batch_mean", "distance_to_batch_mean"}


# Blind: priors of position ----------------------------------------------------------------------------------------------


def position_prior(function):
    """A blind explainer from a function of the places along each axis, in 0..1."""

    @functools.wraps(function)
    def explainer(network, inputs, objective):
        del network, objective
        return broadcast_field(function(*grid(extent_of(inputs))), inputs)

    return member(BLIND)(explainer)


@position_prior
def upper_third(rows, *_):
    return rows < 1 / 3


@position_prior
def border(*axes):
    return np.max([np.abs(axis - 0.5) for axis in axes], axis=0) > 0.4


@position_prior
def off_centre_bump(*axes):
    return np.exp(-sum((axis - 0.25) ** 2 for axis in axes) / (2 * 0.15**2))


@position_prior
def checkerboard(*axes):
    return sum(np.floor(8 * axis) for axis in axes) % 2


@position_prior
def ramp(*axes):
    return axes[-1]


# Blind: fields that know which class was asked --------------------------------------------------------------------------


def class_field(function):
    """A blind explainer from a function of one sample, its class and the extent: a field over positions or like the sample."""

    @functools.wraps(function)
    def explainer(network, inputs, objective):
        del network
        classes, extent = classes_of(inputs, objective), extent_of(inputs)
        fields = [function(sample, index, extent) for sample, index in zip(inputs.astype("float64"), classes)]
        fields = np.stack(fields).astype("float32")
        return fields if fields.shape == inputs.shape else broadcast_field(fields, inputs)

    return member(BLIND)(explainer)


def class_bump(index, extent):
    """A smooth bump whose place is drawn from the class."""
    return bump(extent, np.random.default_rng([7, index]).uniform(0.15, 0.85, len(extent)), 0.15)


@class_field
def bump_of_the_class(sample, index, extent):
    del sample
    return class_bump(index, extent)


@class_field
def smooth_noise_of_the_class(sample, index, extent):
    del sample
    return smooth_field(np.random.default_rng([8, index]), extent)


@class_field
def smooth_noise_of_image_and_class(sample, index, extent):
    return smooth_field(generator(sample, index), extent)


@class_field
def white_noise_of_image_and_class(sample, index, extent):
    del extent
    return generator(sample, index).standard_normal(sample.shape)


@class_field
def contrast_under_the_bump_of_the_class(sample, index, extent):
    grey = sample.mean(axis=-1) if sample.ndim > 1 else sample
    return np.abs(grey - ndimage.uniform_filter(grey, 5)) * class_bump(index, extent)


@class_field
def filter_of_the_class(sample, index, extent):
    """The image through a filter of random weights drawn from the class: it depends on both, and smoothly on the image."""
    grey = sample.mean(axis=-1) if sample.ndim > 1 else sample
    return ndimage.convolve(grey, np.random.default_rng([9, index]).standard_normal([5] * len(extent)))


# Wrong: another question ------------------------------------------------------------------------------------------------


def signed_gradcam(network, inputs, objective):
    """Grad-CAM without its relu, which would leave whole maps at zero where a class has nothing for it."""
    return lab.gradcam(network, inputs, objective, relu=False)


def of_other_classes(method, choose):
    """The method, asked for the classes that `choose(network, inputs, objective)` gives."""

    def explainer(network, inputs, objective):
        return method(network, inputs, lab.logit([int(index) for index in choose(network, inputs, objective)]))

    return explainer


def next_class(network, inputs, objective):
    return (classes_of(inputs, objective) + 1) % network.class_count


def least_likely_class(network, inputs, objective):
    del objective
    return routines.logits(network, inputs).argmin(axis=1)


def top_class(network, inputs, objective):
    del objective
    return routines.logits(network, inputs).argmax(axis=1)


def class_of_the_bytes(network, inputs, objective):
    del objective
    return [generator(sample).integers(network.class_count) for sample in inputs]


add_to_bank("of_the_next_class", of_other_classes(lab.gradient, next_class), WRONG)
add_to_bank("gradcam_of_the_next_class", of_other_classes(signed_gradcam, next_class), WRONG, IMAGES)
add_to_bank("of_the_least_likely_class", of_other_classes(lab.gradient_x_input, least_likely_class), WRONG)
add_to_bank("of_the_top_class", of_other_classes(lab.gradient, top_class), WRONG)  # Right where the top class is asked.
add_to_bank("of_a_random_class_of_the_image", of_other_classes(lab.gradient, class_of_the_bytes), WRONG)


def slope_of(score, change=np.asarray):
    """The gradient of `score(logits [batch, classes], classes [batch])`, and what `change` makes of it."""

    def explainer(network, inputs, objective):
        def body(batched, _):
            points, classes = batched
            return tf.gradients(score(network.trace(points).logits(), classes), points)[0]

        batched = (network.inputs(inputs), classes_of(inputs, objective))
        return change(routines.run(network, ("bank", score), body, batched, ())).astype("float32")

    return explainer


def cross_entropy(logits, classes):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)


def sum_of_classes(logits, classes):
    del classes
    return tf.reduce_sum(logits, axis=1)


def norm_of_logits(logits, classes):
    del classes
    return tf.norm(logits, axis=1)


def entropy(logits, classes):
    del classes
    return -tf.reduce_sum(tf.nn.softmax(logits) * tf.nn.log_softmax(logits), axis=1)


add_to_bank("of_the_loss", slope_of(cross_entropy), WRONG)
add_to_bank("of_the_loss_absolute", slope_of(cross_entropy, np.abs), WRONG)
add_to_bank("of_the_sum_of_classes", slope_of(sum_of_classes), WRONG)
add_to_bank("of_the_norm_of_logits", slope_of(norm_of_logits), WRONG)
add_to_bank("of_the_entropy", slope_of(entropy), WRONG)


@member(WRONG, IMAGES)
def early_activation(network, inputs, objective):
    """The mean magnitude of the first convolution's output, whatever was asked."""
    del objective
    path = next(layer.path for layer in network.layers() if "Conv" in layer.type)
    return np.abs(routines.activations(network, inputs, path)).mean(axis=-1)


@member(WRONG, IMAGES)
def late_activation(network, inputs, objective):
    """The mean magnitude of the last layer with positions, whatever was asked."""
    del objective
    return np.abs(routines.activations(network, inputs, network.last_spatial())).mean(axis=-1)


# Wrong: another input ---------------------------------------------------------------------------------------------------


def of_other_inputs(method, change):
    """The method on inputs that `change` makes of those asked."""

    def explainer(network, inputs, objective):
        return method(network, np.ascontiguousarray(change(inputs), "float32"), objective)

    return explainer


def previous(inputs):
    return np.roll(inputs, 1, axis=0)


def mean_of_batch(inputs):
    return np.broadcast_to(inputs.mean(axis=0), inputs.shape)


add_to_bank("of_the_previous_image", of_other_inputs(lab.gradient_x_input, previous), WRONG, BATCHES)
add_to_bank("gradcam_of_the_previous_image", of_other_inputs(signed_gradcam, previous), WRONG, IMAGES, BATCHES)
add_to_bank("gradient_at_zero", of_other_inputs(lab.gradient, np.zeros_like), WRONG)
add_to_bank("gradient_at_the_batch_mean", of_other_inputs(lab.gradient, mean_of_batch), WRONG, BATCHES)


# Wrong: other weights ---------------------------------------------------------------------------------------------------


def of_other_weights(method, change):
    """The method on the network whose floating weights `change(rng, value)` has made; its own are put back."""

    def explainer(network, inputs, objective):
        rng = np.random.default_rng(11)
        state = {name: value for name, value in network.state().items() if value.dtype.kind == "f"}
        with network.weights({name: change(rng, value).astype(value.dtype) for name, value in state.items()}):
            return method(network, inputs, objective)

    return explainer


def shuffled_weights(rng, value):
    return rng.permutation(value.ravel()).reshape(value.shape)


def drawn_again(rng, value):
    """Kernels drawn from a normal distribution of their mean and deviation; vectors stay."""
    return rng.normal(value.mean(), value.std(), value.shape) if value.ndim > 1 else value


add_to_bank("of_shuffled_weights", of_other_weights(lab.gradient, shuffled_weights), WRONG)
add_to_bank("of_kernels_drawn_again", of_other_weights(lab.gradient_x_input, drawn_again), WRONG)
add_to_bank("gradcam_of_shuffled_weights", of_other_weights(signed_gradcam, shuffled_weights), WRONG, IMAGES)


# Wrong: in another place ------------------------------------------------------------------------------------------------


def transform_maps(method, change):
    """What `change(maps, axes)` makes of a method's maps; axes: those of positions."""

    def explainer(network, inputs, objective):
        maps = method(network, inputs, objective)
        return np.ascontiguousarray(change(maps, axes_of(inputs)), "float32")

    return explainer


def mirrored(maps, axes):
    return np.flip(maps, axes[-1])


def upside_down(maps, axes):
    return np.flip(maps, axes[0])


def transposed(maps, axes):
    """Rows and columns exchanged, and sampled to the shape before where an image is not square; series turned round."""
    if len(axes) < 2:
        return np.flip(maps, axes[0])
    swapped = np.swapaxes(maps, *axes)
    for axis in axes:
        places = (np.arange(maps.shape[axis]) + 0.5) * swapped.shape[axis] / maps.shape[axis]
        swapped = np.take(swapped, places.astype(int), axis=axis)
    return swapped


def shifted_by_a_quarter(maps, axes):
    return np.roll(maps, [max(1, maps.shape[axis] // 4) for axis in axes], axes)


def pixels_shuffled(maps, axes):
    extent = [maps.shape[axis] for axis in axes]
    flat = maps.reshape(len(maps), np.prod(extent), -1)
    return flat[:, cycle(flat.shape[1])].reshape(maps.shape)


def blocks_shuffled(maps, axes):
    """Four strips along each axis, each put where another was."""
    for axis in axes:
        strips = np.array_split(np.arange(maps.shape[axis]), min(4, maps.shape[axis]))
        maps = np.take(maps, np.concatenate([strips[place] for place in cycle(len(strips), seed=axis)]), axis=axis)
    return maps


def ranks_inverted(maps, axes):
    del axes
    return per_sample(np.max, np.abs(maps)) - np.abs(maps)


def mean_over_the_batch(maps, axes):
    del axes
    return np.broadcast_to(maps.mean(axis=0), maps.shape)


def next_map_of_the_batch(maps, axes):
    del axes
    return np.roll(maps, 1, axis=0)


def cropped_to_a_corner(maps, axes):
    """The first third along each axis; zero elsewhere."""
    window = tuple(slice(0, -(-maps.shape[axis] // 3)) for axis in axes)
    cropped = np.zeros_like(maps)
    cropped[(slice(None), *window)] = maps[(slice(None), *window)]
    return cropped


def corner_as_high_as_the_map(maps, axes):
    """A constant corner; the network moves its height alone."""
    height = np.broadcast_to(per_sample(np.mean, np.abs(maps)), maps.shape)
    return cropped_to_a_corner(height, axes)


def weak_under_a_centre_prior(maps, axes):
    """One per cent of the map, and 99 of a bump in the middle."""
    extent = [maps.shape[axis] for axis in axes]
    prior = bump(extent, [0.5] * len(extent), 0.25)
    return 0.01 * normalize(maps) + 0.99 * prior.reshape(1, *extent, *[1] * (maps.ndim - 1 - len(extent)))


add_to_bank("mirrored", transform_maps(lab.gradient_x_input, mirrored), WRONG)
add_to_bank("upside_down", transform_maps(lab.gradient, upside_down), WRONG)
add_to_bank("gradcam_upside_down", transform_maps(signed_gradcam, upside_down), WRONG, IMAGES)
add_to_bank("transposed", transform_maps(lab.gradient, transposed), WRONG)
add_to_bank("shifted_by_a_quarter", transform_maps(lab.gradient_x_input, shifted_by_a_quarter), WRONG)
add_to_bank("pixels_shuffled", transform_maps(lab.gradient_x_input, pixels_shuffled), WRONG)
add_to_bank("blocks_shuffled", transform_maps(lab.gradient_x_input, blocks_shuffled), WRONG)
add_to_bank("ranks_inverted", transform_maps(lab.gradient_x_input, ranks_inverted), WRONG)
add_to_bank("mean_over_the_batch", transform_maps(lab.gradient_x_input, mean_over_the_batch), WRONG, BATCHES)
add_to_bank("next_map_of_the_batch", transform_maps(lab.gradient_x_input, next_map_of_the_batch), WRONG, BATCHES)
add_to_bank("cropped_to_a_corner", transform_maps(lab.gradient, cropped_to_a_corner), WRONG)
add_to_bank("corner_as_high_as_the_map", transform_maps(lab.gradient, corner_as_high_as_the_map), WRONG)
add_to_bank("weak_under_a_centre_prior", transform_maps(lab.gradient, weak_under_a_centre_prior), WRONG)


@member(WRONG)
def weak_under_noise(network, inputs, objective, *, seed):
    """One per cent of the map, and 99 of noise drawn from the seed and the sample."""
    noise = np.stack([generator(sample, seed).standard_normal(sample.shape) for sample in inputs])
    maps = normalize(lab.gradient_x_input(network, inputs, objective))
    return (0.01 * maps + 0.99 * normalize(noise)).astype("float32")


@member(WRONG)
def map_under_the_bump_of_the_class(network, inputs, objective):
    """The norm of all logits explained, seen through a window that the class alone places."""
    maps = WRONG["of_the_norm_of_logits"](network, inputs, objective)
    windows = np.stack([class_bump(index, extent_of(inputs)) for index in classes_of(inputs, objective)])
    return maps * broadcast_field(windows, inputs)


# Right: gradients in another form ---------------------------------------------------------------------------------------


def scaled(maps, axes):
    del axes
    return 1e-8 * maps


def negative(maps, axes):
    del axes
    return -maps


def squared(maps, axes):
    del axes
    return maps**2


def absolute(maps, axes):
    del axes
    return np.abs(maps)


def thrice_less_five(logits, classes):
    return 3 * tf.gather(logits, classes, axis=1, batch_dims=1) - 5


def softplus_of_the_score(logits, classes):
    return tf.nn.softplus(tf.gather(logits, classes, axis=1, batch_dims=1))


def eight_steps(network, inputs, objective, baseline=0.0):
    return lab.integrated_gradients(network, inputs, objective, steps=8, baseline=baseline)


add_to_bank("gradient_times_1e_8", transform_maps(lab.gradient, scaled), RIGHT)
add_to_bank("gradcam_signed", signed_gradcam, RIGHT, IMAGES)
add_to_bank("gradient_squared", transform_maps(lab.gradient, squared), RIGHT)
add_to_bank("gradient_x_input_of_the_other_sign", transform_maps(lab.gradient_x_input, negative), RIGHT)
add_to_bank("integrated_gradients_absolute", transform_maps(eight_steps, absolute), RIGHT)
add_to_bank("gradient_of_thrice_the_score_less_five", slope_of(thrice_less_five), RIGHT)
add_to_bank("gradient_of_the_softplus_of_the_score", slope_of(softplus_of_the_score), RIGHT)


@member(RIGHT, BATCHES)
def integrated_gradients_from_the_batch_mean(network, inputs, objective):
    return eight_steps(network, inputs, objective, inputs.mean(axis=0, keepdims=True))


@member(RIGHT, IMAGES)
def integrated_gradients_from_the_blurred_image(network, inputs, objective):
    return eight_steps(network, inputs, objective, blur_positions(inputs))


@member(RIGHT, IMAGES)
def gradient_with_the_mirrored_image(network, inputs, objective):
    """The mean of the gradient and of the mirrored image's gradient, turned back."""
    mirrored_maps = lab.gradient(network, np.ascontiguousarray(inputs[:, :, ::-1]), objective)
    return (lab.gradient(network, inputs, objective) + mirrored_maps[:, :, ::-1]) / 2


@member(RIGHT)
def smoothgrad_by_hand(network, inputs, objective, *, seed):
    total = np.zeros(inputs.shape, "float32")
    spread = 0.1 * (per_sample(np.max, inputs) - per_sample(np.min, inputs))
    for copy in range(16):
        noise = np.stack([generator(sample, seed, copy).standard_normal(sample.shape) for sample in inputs])
        total += lab.gradient(network, (inputs + spread * noise).astype("float32"), objective) / 16
    return total


@member(RIGHT, BATCHES)
def expected_gradients_over_the_batch(network, inputs, objective):
    """Integrated gradients at four midpoints from each of up to four other samples of the batch."""
    total, shifts = np.zeros(inputs.shape, "float32"), range(1, min(5, len(inputs)))
    for shift, share in itertools.product(shifts, (0.125, 0.375, 0.625, 0.875)):
        step = inputs - np.roll(inputs, shift, axis=0)
        total += step * lab.gradient(network, inputs - np.float32(share) * step, objective) / (4 * len(shifts))
    return total


# Right: coarse ----------------------------------------------------------------------------------------------------------


@member(RIGHT, IMAGES)
def gradient_x_input_pooled(network, inputs, objective):
    """Summed over the channels and over blocks of 4 x 4 pixels: [batch, rows / 4, columns / 4]."""
    maps = lab.gradient_x_input(network, inputs, objective).sum(axis=-1)
    for axis in (1, 2):
        maps = np.add.reduceat(maps, np.arange(0, maps.shape[axis], 4), axis=axis)
    return maps


@member(RIGHT)
def gradient_x_input_in_blocks(network, inputs, objective):
    """The mean over the channels and over tiles, laid back to the inputs' shape."""
    maps = lab.gradient_x_input(network, inputs, objective)
    labels = tiles(extent_of(inputs)).ravel()
    flat = maps.reshape(len(maps), labels.size, -1).mean(axis=-1)
    sums = np.stack([np.bincount(labels, row) / np.bincount(labels) for row in flat])
    return broadcast_field(sums[:, labels].reshape(-1, *extent_of(inputs)), inputs)


# Right: by holes in the input -------------------------------------------------------------------------------------------


def tiles(extent, most=36):
    """The number of the tile that each position is in, up to `most` tiles: int [*extent]."""
    counts = [min(size, round(most ** (1 / len(extent)))) for size in extent]
    places = np.meshgrid(*(np.arange(size) * count // size for size, count in zip(extent, counts)), indexing="ij")
    return np.ravel_multi_index(places, counts)


def patches(size):
    """The width of a patch, a quarter of an axis, and up to seven starts that reach from end to end."""
    width = max(1, size // 4)
    return width, np.unique(np.linspace(0, size - width, 7).round().astype(int))


def drops(network, inputs, objective, fill):
    """What the score loses under each patch, and where: yields (window, drop [batch])."""
    before = routines.scores(network, inputs, objective)
    axes = [[slice(start, start + width) for start in starts] for width, starts in map(patches, extent_of(inputs))]
    for window in itertools.product(*axes):
        holed = inputs.copy()
        holed[(slice(None), *window)] = fill[(slice(None), *window)]
        yield window, before - routines.scores(network, holed, objective)


def occluded(network, inputs, objective, fill):
    """The mean drop of the patches over each position."""
    total, count = np.zeros((len(inputs), *extent_of(inputs))), np.zeros(extent_of(inputs))
    for window, drop in drops(network, inputs, objective, fill):
        total[(slice(None), *window)] += drop.reshape(-1, *[1] * len(window))
        count[window] += 1
    return broadcast_field(total / count, inputs)


@member(RIGHT)
def occlusion_by_the_mean(network, inputs, objective):
    return occluded(network, inputs, objective, plain_fill(inputs))


@member(RIGHT, IMAGES)
def occlusion_by_blur(network, inputs, objective):
    return occluded(network, inputs, objective, blur_positions(inputs))


@member(RIGHT, BATCHES)
def occlusion_by_the_next_image(network, inputs, objective):
    return occluded(network, inputs, objective, np.roll(inputs, 1, axis=0))


@member(RIGHT)
def occlusion_resized(network, inputs, objective):
    """One drop a patch, linear between the patches' centres."""
    maps = np.stack([drop for _, drop in drops(network, inputs, objective, plain_fill(inputs))], axis=1)
    starts = [patches(size) for size in extent_of(inputs)]
    maps = maps.reshape(len(maps), *(len(places) for _, places in starts))
    for axis, (size, (width, places)) in enumerate(zip(extent_of(inputs), starts), start=1):
        centres = places + (width - 1) / 2
        rows = [np.interp(np.arange(size), centres, row) for row in np.eye(len(centres))]
        maps = np.moveaxis(np.tensordot(maps, np.stack(rows), (axis, 0)), -1, axis)
    return broadcast_field(maps, inputs)


def masked_scores(network, inputs, objective, number, masks):
    """The scores of one sample seen through masks [masks, *extent] in 0..1, what is hidden filled plainly: float64 [masks]."""
    sample, fill = inputs[number], plain_fill(inputs)[number]
    masks = masks.astype("float32")[..., None] if inputs.ndim > 2 else masks.astype("float32")
    masked = fill + masks * (sample - fill)
    return routines.scores(network, masked, objective.rows([number] * len(masked))).astype("float64")


def by_masks(function):
    """An explainer from a function of one sample's `ask(masks) -> scores`, the extent and a generator: a field over positions."""

    @functools.wraps(function)
    def explainer(network, inputs, objective, *, seed):
        fields = []
        for number, sample in enumerate(inputs):
            ask = functools.partial(masked_scores, network, inputs, objective, number)
            fields.append(function(ask, extent_of(inputs), generator(sample, seed)))
        return broadcast_field(fields, inputs)

    del explainer.__wrapped__  # Its signature is its own: it takes a seed.
    return member(RIGHT)(explainer)


@by_masks
def random_masks(ask, extent, rng):
    """The covariance of 256 smooth random masks with the score (after RISE, Petsiuk, Das, Saenko 2018)."""
    masks = np.stack([smooth_mask(rng, extent) for _ in range(256)])
    scores = ask(masks)
    return np.tensordot(scores - scores.mean(), masks - masks.mean(axis=0), 1) / len(masks)


def smooth_mask(rng, extent):
    """A coarse grid of zeros and ones, enlarged linearly and cut out at a random place."""
    coarse = [min(size, 6) for size in extent]
    cells = [-(-size // count) for size, count in zip(extent, coarse)]
    zeros_and_ones = 1.0 * (rng.random([count + 1 for count in coarse]) < 0.5)
    starts = [rng.integers(cell) for cell in cells]
    places = np.meshgrid(
        *((start + np.arange(size)) / cell for start, size, cell in zip(starts, extent, cells)), indexing="ij"
    )
    return ndimage.map_coordinates(zeros_and_ones, places, order=1, mode="nearest")


@by_masks
def regression_on_blocks(ask, extent, rng):
    """The coefficients of a ridge regression of the score on the presence of tiles (after LIME, Ribeiro, Singh, Guestrin 2016)."""
    labels = tiles(extent)
    present = rng.random((200, labels.max() + 1)) < 0.7
    scores, design = ask(present[:, labels]), present - present.mean(axis=0)
    gram = design.T @ design + 0.1 * np.eye(design.shape[1])
    return np.linalg.solve(gram, design.T @ (scores - scores.mean()))[labels]


@by_masks
def shapley_values_of_blocks(ask, extent, rng):
    """What tiles add when they come in one after another, in four orders and their reverses."""
    labels = tiles(extent, most=16)
    count = labels.max() + 1
    orders = [rng.permutation(count) for _ in range(4)]
    values = np.zeros(count)
    for order in [*orders, *(order[::-1] for order in orders)]:
        present = np.arange(count + 1)[:, None] > np.argsort(order)
        values[order] += np.diff(ask(present[:, labels])) / (2 * len(orders))
    return values[labels]
