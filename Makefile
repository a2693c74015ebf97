# Needs Python 3.11 or newer, make, and a network. Everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
CODE := src tests benchmarks documentation examples deploy
export UV_PYTHON_DOWNLOADS := never
# As pip does: behind a company's proxy only the system knows its certificate.
export UV_SYSTEM_CERTS := true

.PHONY: help demo check test lint types contracts fast bench bench-compare million scaling chaos fidelity retrieval fuzz site lock format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed  ## hand in the example documents and search them
	@sh examples/demo.sh

check: lint types contracts fast  ## lint, types, import contracts, fast tests

# These kill, freeze, starve and time whole installations, and have the machine to themselves.
ALONE := tests/chaos $(addprefix tests/acceptance/test_,autoscaling.py benchmarks.py one_machine.py servers_of_ones_own.py) \
	tests/deploy/test_as_in_a_container.py $(addprefix tests/integration/test_,api_outages.py cli_real_services.py dispatch.py \
	full_disk.py local_servers.py local_up.py parser_pool.py worker_process.py)
# Each has a broker of its own and mostly waits for it.
CONTRACTS := tests/contract

test: .venv/installed distribution-redis distribution-nats distribution-postgres programs-to-compare language-data lint types contracts  ## all of it: what CI runs
	$(BIN)/pytest -n 2 --dist loadfile $(addprefix --ignore=,$(ALONE) $(CONTRACTS))
	$(BIN)/pytest -n 3 --dist loadfile $(CONTRACTS)
	$(BIN)/pytest $(ALONE)

lint: .venv/installed
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: .venv/installed
	$(BIN)/pyright

contracts: .venv/installed
	$(BIN)/lint-imports

fast: .venv/installed
	$(BIN)/pytest -m "not slow"

format: .venv/installed  ## put the code in order
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# ONLY="idle flow" runs some. What is run, and in which order, stands in benchmarks/targets.py.
bench: .venv/installed  ## measure what docs/performance.md says, beside others (30 minutes, wants the machine to itself)
	$(BIN)/python benchmarks/bench.py $(ONLY)

bench-compare: .venv/installed  ## ratios of the results now to those of BASE, a commit or a folder
	@$(BIN)/python benchmarks/compare.py $(BASE)

million: .venv/installed  ## what handing in costs beside a million waiting files (1 minute)
	PYTHONPATH=tests:tests/integration $(BIN)/python benchmarks/million_files.py

scaling: .venv/installed  ## simulate days of 10^4 to 10^8 files under the scaling rule: docs/scaling.md (1 minute)
	$(BIN)/python benchmarks/scaling.py

fidelity: .venv/installed programs-to-compare  ## count the words of the test corpora against independent readings: docs/fidelity.md
	PYTHONPATH=benchmarks $(BIN)/python -m fidelity

retrieval: .venv/installed  ## does search find the answers: docs/retrieval.md (4 minutes)
	PYTHONPATH=benchmarks $(BIN)/python -m retrieval

# Which files are damaged, and how, follows from the seed, which is printed: make fuzz SEED=1732500000 repeats a run.
ROUNDS ?= 200
fuzz: .venv/installed  ## read thousands of damaged files of every format (ROUNDS of each, SEED to repeat)
	$(BIN)/python benchmarks/fuzz.py --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))
	$(BIN)/python benchmarks/fuzz.py --rounds $(ROUNDS)0 --plain $(if $(SEED),--seed $(SEED))

# What is broken, when and on which files follows from the seed, which is printed: make chaos SEED=1732500000 repeats a run.
MINUTES ?= 30
FILES ?= 1000
FAULTS ?= 500
BROKER ?= redis
chaos: .venv/installed  ## break a running Penstock FAULTS times and count what is lost, on BROKER redis or sqs: docs/reliability.md (50 minutes)
	PYTHONPATH=tests $(BIN)/python -m chaos --broker $(BROKER) --minutes $(MINUTES) --files $(FILES) --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

readers: .venv/installed programs-to-compare  ## our readers beside others on the test corpora: docs/readers.md
	PYTHONPATH=benchmarks $(BIN)/python -m fidelity.compare

# Strictly: a link to nowhere, a name that is not in the code or a setting without a word ends it.
site: .venv/installed  ## build the documentation into site/, from docs/ and from the code
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: .venv/installed  ## renew requirements.lock: pins and hashes, no addresses
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra model --extra tracing --group dev \
		--generate-hashes --no-emit-index-url --upgrade --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra model --extra tracing --constraints requirements.lock \
		--generate-hashes --no-emit-index-url --quiet --custom-compile-command "make lock" --output-file requirements-image.lock

# The tests run on the embedded Redis and, where there is one, on the distribution's, which is of another
# version. CI installs it; at home its tests are skipped, with a word, unless you do.
.PHONY: distribution-redis
distribution-redis:
	@if [ "$$CI" = true ] && ! command -v redis-server >/dev/null && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server >/dev/null; } \
			|| echo "redis-server cannot be installed here: its tests are skipped"; \
	fi

# The queues' tests on NATS need its server. CI installs it; at home they are skipped, with a word, unless you do.
.PHONY: distribution-nats
distribution-nats:
	@if [ "$$CI" = true ] && ! command -v nats-server >/dev/null && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nats-server >/dev/null; } \
			|| echo "nats-server cannot be installed here: its tests are skipped"; \
	fi

# PgBouncer, and a PostgreSQL that speaks TLS, which the embedded one does not. CI installs them; at home their tests are
# skipped, with a word, unless you do.
.PHONY: distribution-postgres
distribution-postgres:
	@if [ "$$CI" = true ] && ! { command -v pgbouncer && ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends pgbouncer postgresql openssl >/dev/null; } \
			|| echo "pgbouncer and postgresql cannot be installed here: their tests are skipped"; \
	fi

# What we read of doc, xls and ppt is compared with what these programs read. They are run, never linked or shipped.
.PHONY: programs-to-compare
programs-to-compare:
	@if [ "$$CI" = true ] && ! command -v antiword >/dev/null && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends antiword catdoc >/dev/null; } \
			|| echo "antiword and catdoc cannot be installed here: the tests that compare with them are skipped"; \
	fi

# Text in pictures is recognised with the distribution's language data. CI installs it; at home the tests that need it
# are skipped, with a word, unless you do.
.PHONY: language-data
language-data:
	@if [ "$$CI" = true ] && command -v apt-get >/dev/null && ! dpkg -s tesseract-ocr-eng >/dev/null 2>&1; then \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends tesseract-ocr-eng >/dev/null; } \
			|| echo "tesseract-ocr-eng cannot be installed here: its tests are skipped"; \
	fi

# uv comes from PyPI by pip, everything else by uv, all of it by hash.
.venv/installed: requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Penstock needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

clean:  ## forget the environment, the demo's data and all caches
	rm -rf site .venv .bench-venv .fidelity-venv .splitter-venv .demo-data .pytest_cache .ruff_cache .hypothesis .import_linter_cache
