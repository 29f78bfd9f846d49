"""Colour: the matrix `COLOUR` of lab/visualization/colour.py, measured.

python -m tests.bench.colour
"""

import lab
from lab.visualization.colour import measure_colours

if __name__ == "__main__":
    print(measure_colours(lab.photographs().images).round(3))
