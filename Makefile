# Everything happens in .venv and out/; `make help` lists the commands.
# On a fresh machine: Python 3.11 or newer with venv and pip, make, and a package index.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT := out
CONFORMANCE := $(OUT)/conformance
GALLERIES := $(OUT)/galleries

.DEFAULT_GOAL := help
.PHONY: help demo test lab browser tutorial docs figures conformance equality galleries bench loops clean distclean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.stamp-demo ## run the flights notebook under python3 and under taskpar, and compare
	@$(BIN)/python -m taskpar_kernel.testing.demo $(ARGS)

test: $(VENV)/.stamp-test ## lint, types, layers, tests; each is reported, any failure fails
	@BIN=$(BIN) sh tests/project/checks.sh $(ARGS)

lab: $(VENV)/.stamp-lab ## open JupyterLab on the tutorial and the flights notebook
	@$(BIN)/jupyter lab notebooks/tutorial.ipynb $(ARGS)

browser: $(VENV)/.stamp-test ## the browser tests alone; screenshots are left in out/screenshots
	@$(BIN)/python -m pytest tests/browser $(ARGS)

tutorial: $(VENV)/.stamp-demo ## run the tutorials and write their pages and pictures anew; ARGS=loops for one
	@$(BIN)/python docs/make_tutorial.py $(ARGS)

docs: $(VENV)/.stamp-docs ## build the site, with a reference made from the code, in out/site
	@$(BIN)/python docs/make_site.py $(ARGS)

figures: $(VENV)/.stamp-test ## run the commands behind docs/figures.md and write it anew; ARGS=bench for one
	@$(BIN)/python docs/make_figures.py $(ARGS)

conformance: $(CONFORMANCE)/venv/.stamp ## ipykernel's and nbclient's own suites: taskpar against the stock kernel
	@$(CONFORMANCE)/venv/bin/python tests/conformance/run.py --cache $(CONFORMANCE) $(ARGS)

galleries: $(GALLERIES)/venv/.stamp ## the example galleries of 13 libraries: taskpar against the stock kernel; hours, resumes
	@$(GALLERIES)/venv/bin/python tests/galleries/run.py --cache $(GALLERIES) $(ARGS)

equality: $(VENV)/.stamp-demo ## random programs under python3 and under taskpar, everything compared
	@$(BIN)/python -m taskpar_kernel.testing.differential --workers 2,4 --jobs 2 $(ARGS)

bench: $(VENV)/.stamp-demo ## time small cells against python3
	@$(BIN)/python benchmarks/cells.py $(ARGS)

loops: $(VENV)/.stamp-demo ## time loops as people write them against python3; ARGS=--peers beside joblib and dask too
	@$(BIN)/python benchmarks/loops.py $(ARGS)

clean: ## remove what the commands above left, but for .venv
	rm -rf $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

$(VENV)/.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; say make PYTHON=python3.12"; exit 1; }
	@echo "making $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp pyproject.toml kernelspec/kernel.json
	@echo "installing the package and what the demo needs"
	@$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-demo
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-demo
	@echo "installing what the site needs"
	@$(BIN)/python -m pip install --quiet --editable '.[demo,docs]'
	@touch $@

$(VENV)/.stamp-lab: $(VENV)/.stamp-demo
	@echo "installing JupyterLab"
	@$(BIN)/python -m pip install --quiet --editable '.[demo,lab]'
	@touch $@

# the suites bring pytest plugins of their own, so they get an environment of their own
$(CONFORMANCE)/venv/.stamp: $(VENV)/.stamp pyproject.toml kernelspec/kernel.json
	@echo "making $(CONFORMANCE)/venv"
	@mkdir -p $(CONFORMANCE)
	@$(PYTHON) -m venv $(CONFORMANCE)/venv
	@$(CONFORMANCE)/venv/bin/python -m pip install --quiet --editable '.[conformance]'
	@touch $@

# the galleries need the libraries whose examples they are
$(GALLERIES)/venv/.stamp: $(VENV)/.stamp pyproject.toml kernelspec/kernel.json
	@echo "making $(GALLERIES)/venv"
	@mkdir -p $(GALLERIES)
	@$(PYTHON) -m venv $(GALLERIES)/venv
	@$(GALLERIES)/venv/bin/python -m pip install --quiet --editable '.[galleries]'
	@touch $@
