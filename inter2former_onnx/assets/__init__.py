"""Files that come with the package (README.md beside this says where they are from and under which terms)."""

from importlib.resources import files
from pathlib import Path

# The package is always installed as files (it holds a shared library), so a resource has a path.
DEMO_PHOTOGRAPH = Path(str(files(__package__) / "coffee.jpg"))
