"""Colour: the matrix `COLOUR` of lab/visualization/colour.py, measured.

python -m tests.bench.colour
"""

import lab
from lab.visualization.colour import measured

if __name__ == "__main__":
    print(measured(lab.photographs().images).round(3))
