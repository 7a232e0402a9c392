# Two commands for newcomers: `make demo` and `make test`. Both set up what they need first.

VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: demo test lint fuzz bench clean

demo: $(VENV)/ready
	scripts/demo $(VENV)/bin/genoci

test: $(VENV)/ready-dev lint
	scripts/test $(PYTHON)

lint: $(VENV)/ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Ten minutes for each target; `make fuzz SECONDS=3600` for more.
SECONDS := 600
fuzz: $(VENV)/ready-dev
	for target in fuzz/fuzz_*.py; do $(PYTHON) $$target -max_total_time=$(SECONDS) || exit 1; done

# What genoci costs beside others, as ratios of one run; CASE="cold_base unpack" for some of it,
# CASE="--runs 1 unpack" to try one. As root; docs/benchmark.md tells the rest.
bench: $(VENV)/ready-dev
	scripts/debian-root .cache/debian
	$(PYTHON) -m bench $(CASE)

$(VENV)/ready: pyproject.toml scripts/setup
	scripts/setup $(VENV)

$(VENV)/ready-dev: pyproject.toml scripts/setup
	scripts/setup $(VENV) dev

clean:
	rm -rf $(VENV) .cache
