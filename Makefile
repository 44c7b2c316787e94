# Two commands for a fresh machine: `make demo` and `make test`. Needs Python (3.10 or newer) and, for native speed, a
# C++ compiler; everything else is installed into a virtual environment.

PYTHON ?= python3
VENV ?= .venv
# Installed by itself before anything else asks for "some torch": a loose requirement brings in the newest build with
# gigabytes of GPU libraries. Only export and its tests need it; an edge device never does.
TORCH ?= torch==2.13.0

BIN := $(abspath $(VENV))/bin
DIST := $(abspath $(VENV))/dist
PIP := $(BIN)/python -m pip --disable-pip-version-check

SOURCES := $(shell find inter2former_onnx -type f -not -path '*/__pycache__/*') CMakeLists.txt pyproject.toml README.md LICENSE

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

# The main job: the photograph in the package is clicked through with the model that ships; the result is demo.png.
demo: $(VENV)/.demo-ready
	$(BIN)/inter2former demo --out demo.png

# Style, types, who imports whom, then the tests. INTER2FORMER_TEST_WHEEL spares them a second compilation.
test: lint
	INTER2FORMER_TEST_WHEEL="$$(ls $(DIST)/*.whl)" $(BIN)/pytest

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist demo.png .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.created
	$(BIN)/python -c "import torch" 2>/dev/null || $(PIP) install "$(TORCH)"
	touch $@

$(VENV)/.wheel: $(VENV)/.created $(SOURCES)
	rm -rf $(DIST)
	$(PIP) wheel --no-deps --wheel-dir $(DIST) .
	touch $@

$(VENV)/.demo-ready: $(VENV)/.wheel
	$(call install,image)
	touch $@

$(VENV)/.test-ready: $(VENV)/.torch $(VENV)/.wheel
	$(call install,test)
	touch $@

# The version stays the same while the sources change, so pip has to be told to take the new wheel.
define install
	$(PIP) install --force-reinstall --no-deps $(DIST)/*.whl
	wheel=$$(ls $(DIST)/*.whl) && $(PIP) install "$$wheel[$(1)]"
endef
