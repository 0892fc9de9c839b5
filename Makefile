# Everything a newcomer types. Each target makes its own .venv from the machine's Python first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test up down status lint bench kill clean lock

demo: $(READY)      ## the whole line on real parts, with simulated people
	@$(BIN)/zanc demo

up: $(READY)        ## start the local stack
	@$(BIN)/zanc up

down: $(READY)      ## stop it
	@$(BIN)/zanc down

status: $(READY)    ## what runs and what answers
	@$(BIN)/zanc status

test: $(READY)      ## unit, integration and acceptance tests, on real parts of their own
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)      ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY)     ## figures beside their limits
	@failed=0; for script in bench/bench_*.py; do echo "== $$script"; \
		$(BIN)/python "$$script" || failed=1; done; exit $$failed

kill: $(READY)       ## a campaign under 60 random kills and cuts, some four minutes
	@ZANC_KILLS=$${ZANC_KILLS:-60} $(BIN)/pytest tests/integration/test_kill_run.py --quiet

clean:              ## remove the environment and all state, after stopping the stack
	@if [ -e $(READY) ]; then $(BIN)/zanc down; fi
	rm -rf $(VENV) var build zanc_pipeline.egg-info

lock:               ## resolve the dependencies of pyproject.toml again
	$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header --python-version 3.11 \
		--extra dev --output-file requirements.lock pyproject.toml

$(READY): requirements.lock requirements-uv.lock pyproject.toml scripts/make-venv
	@PYTHON="$(PYTHON)" sh scripts/make-venv $(VENV)
