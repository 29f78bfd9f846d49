"""The `lab` command. A command is imported when it is named, and what is heavy when it works."""

import click

import lab
from recipes.commands import Commands


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    examples=(
        ("lab explain photos/ --model my.keras --input-range -1 1", "maps over photographs"),
        (
            "lab check --images photos/ --model my.keras --input-range -1 1 --classes names.txt",
            "do maps respond to the weights?",
        ),
        (
            "lab gallery --layer conv2 --units 0-3 --steps 32 --model my.keras --input-range -1 1",
            "draw what units respond to",
        ),
    ),
)
@click.version_option(lab.__version__, prog_name="lab")
@click.option("--deterministic", is_flag=True, help="Compute bit-equal results on a GPU too, which is slower.")
@click.pass_context
def main(context, deterministic):
    """Look inside a Keras network, explain what it does, and check the explanations.

    \b
    Start here, with the network and the photographs that come with the lab:
      lab run first-look                                   a whole run, with a report
      lab list layers                                      layers of the network
      lab gallery --layer block_6_add --units 0-15         draw what units respond to
      lab gallery --all-layers                             the whole network (hours; stop and resume freely)
      lab check --subject features --layer block_9_add     do the pictures show what the units do?
      lab check --world ruler --method all --check truth   does it find a planted shortcut?

    Every command leaves a folder under artifacts/ with one HTML report, the raw arrays, and a manifest.
    """
    context.obj = {"deterministic": deterministic}
