# Thecal. Start with `make run`; `make help` lists the rest.
#
# Nothing here needs more than a POSIX shell and make: `make setup` brings the rest. What is built lands in build/,
# the Python packages in .venv/; both can be deleted at any time.

PYTHON := .venv/bin/python
# A folder of boards/ that an image can be built for.
BOARD := THECAL_PICO
# 1: the image without a prompt, build/image/thecal-pico-release.uf2.
RELEASE := 0
# Tests run in two processes: the chip tests are what takes time, and small CI machines have two cores.
WORKERS ?= 2
export MICROPYTHON_DIR

.DEFAULT_GOAL := help
.PHONY: help run setup system venv desk image release-image flash deploy test test-long mutants check bench bench-quick bench-archive cycles trace clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

run: setup image ## a therapy with a bolus on the emulated board, live, then a report in build/run/
	.venv/bin/thecal run

setup: system venv ## everything that is needed: system packages (by apt-get) and .venv

system:
	@tools/setup/system.sh

venv: system
	@tools/setup/venv.sh

desk: setup ## what only some commands need: the pages of the desk, Parquet, reports as pages, lab automation
	@tools/setup/system.sh desk
	@tools/setup/venv.sh desk

image: system ## the UF2 for a board, build/image/thecal-pico.uf2 [BOARD=THECAL_PICO_W] [RELEASE=1] [MICROPYTHON_DIR=<checkout>]
	@PYTHONPATH=tools python3 -m image.build $(BOARD) --release=$(RELEASE)

flash: image ## put the image on a Pico in BOOTSEL mode
	@PYTHONPATH=tools python3 -m image.flash --board $(BOARD) --release=$(RELEASE)

deploy: setup image ## put the image on a running Pico, its MAINTENANCE jumper fitted: make deploy PORT=/dev/ttyACM0
	@PYTHONPATH=tools $(PYTHON) -m image.flash --board $(BOARD) --release=$(RELEASE) --port "$(PORT)"

release-image: system
	@PYTHONPATH=tools python3 -m image.build THECAL_PICO --release=1

test: desk image release-image ## all tests but the long ones
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal --durations=20

test-long: desk image release-image ## the tests that take minutes, with new random examples; another board's images too
	@PYTHONPATH=tools python3 -m image.build THECAL_PICO_W
	@PYTHONPATH=tools python3 -m image.build THECAL_PICO_W --release=1
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal -m long --hypothesis-profile=explore

mutants: setup ## plant every fault of host_tests/mutants.toml in a copy, and see whether a test notices
	$(PYTHON) -m thecal_bench.mutants $(MUTANTS)

check: desk build/typings/.ready ## ruff, basedpyright, and nothing longer than fits a head
	$(PYTHON) -m ruff check .
	$(PYTHON) tools/setup/sizes.py firmware tools
	$(PYTHON) -m basedpyright
	$(PYTHON) -m basedpyright --project tools/setup/firmware.pyright.json

build/typings/.ready: pyproject.toml tools/setup/typings.py $(wildcard boards/*/pins.csv) | venv
	$(PYTHON) tools/setup/typings.py

trace: setup ## which tests show which requirement, in build/traceability.md
	$(PYTHON) -m thecal_bench.trace

bench: bench-quick ## measure everything that the pages say, beside the usual way, and write it into them
	@PYTHONPATH=tools python3 -m image.stock
	$(PYTHON) -m thecal_bench.benchmark
	$(PYTHON) -m thecal_bench.benchmarks.occlusion
	$(PYTHON) -m thecal_bench.benchmarks.moving
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal --write-measured
	$(PYTHON) -m thecal_host.showcase
	$(PYTHON) -m thecal_host.evened
	$(PYTHON) -m thecal_host.desk.showcase

bench-quick: setup image ## what a tick costs, beside the usual way, into README.md; under a minute
	$(PYTHON) -m thecal_bench.quick

bench-archive: desk ## sizes, CPU and memory of a day of telemetry of four pumps in the archive and out again, and on a page
	$(PYTHON) -m thecal_host.archive_day
	$(PYTHON) -m thecal_host.desk.cost

cycles: setup image ## where the cycles of a tick go, by Python function
	$(PYTHON) -m thecal_bench.cycles

clean: ## remove what was built (the sources of the image are kept)
	rm -rf build/run build/typings build/image/thecal-pico* build/image/build build/image/stock
	find firmware tools host_tests boards -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv and build/ as well
	rm -rf build .venv .hypothesis .pytest_cache .ruff_cache
	find . -maxdepth 2 -name '*.egg-info' -type d -prune -exec rm -rf {} +
