"""The lab's graphs run as they were traced, and whatever else the process compiles is optimized as before."""

import keras
import numpy as np
import pytest

import lab
from lab import grappler, routines
from lab.environment import context, on_gpu, tf
from tests import networks

FUSED = "_FusedMatMul"


@pytest.fixture
def network():
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(16, "relu")(inputs)
    return networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(3)(hidden))))


def executed(run):
    """Kinds of operations that the graphs of `run()` consist of after optimization: set of str."""
    context.context().enable_graph_collection()
    try:
        run()
        graphs = context.context().export_run_metadata().function_graphs
    finally:
        context.context().disable_graph_collection()
    return {node.op for graph in graphs for node in graph.post_optimization_graph.node}


@pytest.mark.skipif(on_gpu(), reason="on a GPU graphs are optimized")
def test_graphs_of_the_lab_run_as_they_were_traced(network):
    rows = np.ones((2, 8), "float32")
    model = tf.function(network.model, autograph=False)
    assert FUSED in executed(lambda: model(tf.constant(rows)))
    kinds = executed(lambda: routines.scores(network, rows, lab.logit(1)))
    assert "MatMul" in kinds and FUSED not in kinds
    assert FUSED in executed(lambda: tf.function(network.model, autograph=False)(tf.constant(rows)))


def test_options_of_the_thread_are_given_back_though_the_function_fails(monkeypatch):
    monkeypatch.setattr(grappler, "on_gpu", lambda: False)
    before = context.context().function_call_options

    @grappler.unoptimized
    def fail():
        options = context.context().function_call_options
        config = tf.compat.v1.ConfigProto.FromString(options.config_proto_serialized)
        assert config.graph_options.rewrite_options.disable_meta_optimizer
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fail()
    assert context.context().function_call_options is before


def test_the_settings_of_a_user_are_kept(monkeypatch):
    monkeypatch.setattr(grappler, "on_gpu", lambda: False)
    seen = []
    with context.function_executor_type("SINGLE_THREADED_EXECUTOR"):
        grappler.unoptimized(lambda: seen.append(context.context().function_call_options))()
    config = tf.compat.v1.ConfigProto.FromString(seen[0].config_proto_serialized)
    assert seen[0].executor_type == "SINGLE_THREADED_EXECUTOR" and config.allow_soft_placement


def test_options_that_a_function_sets_for_itself_do_not_stay(monkeypatch):
    monkeypatch.setattr(grappler, "on_gpu", lambda: False)
    executors = []

    @grappler.unoptimized
    def run_alone():
        executors.append(context.context().function_call_options.executor_type)
        with context.function_executor_type("SINGLE_THREADED_EXECUTOR"):
            pass

    run_alone()
    run_alone()
    assert executors[0] == executors[1] != "SINGLE_THREADED_EXECUTOR"


def test_on_a_gpu_graphs_are_optimized(monkeypatch):
    monkeypatch.setattr(grappler, "on_gpu", lambda: True)
    before, seen = context.context().function_call_options, []
    grappler.unoptimized(lambda: seen.append(context.context().function_call_options))()
    assert seen == [before]
