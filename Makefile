# What a developer does with this tree. `make` alone says what there is.
# Everything happens in .venv; once that is installed, every target works without a network.

PYTHON ?= python3
# Most tests wait for something most of the time: three keep two cores busy.
JOBS ?= 3
TESTS ?= tests
SECONDS ?= 60

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TESTED := $(VENV)/.installed-test
DEVELOPER := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A stamp names the folder that it was made in: an editable install in a copied or moved tree would run the old one.
# It does not count either when the interpreter behind .venv is gone.
STAMPED := $(shell [ -x $(BIN)/python ] && cat $(INSTALLED) 2>/dev/null)
ifneq ($(STAMPED),$(CURDIR))
.PHONY: $(INSTALLED)
CLEAR := --clear
endif

.DEFAULT_GOAL := help
.PHONY: help demo test check bench fuzz sanitize kubernetes audit messages clean

help:
	@echo "make demo          a server, a client and a web service on loopback; prints the URL, until Ctrl-C"
	@echo "make demo ONCE=1   the same, fetches one page and ends"
	@echo "make test          every test, under trial (TESTS=tests.wire for some, JOBS=1 for one process)"
	@echo "make check         lint, types, every test with branch coverage"
	@echo "make bench         what a tunnel costs, beside other tunnels, in 10 minutes (QUICK=1: in less than two)"
	@echo "make fuzz          hostile input for every parser, for SECONDS=60; better with atheris in $(VENV)"
	@echo "make sanitize      the relay's tests with its compiled part under gcc's sanitizers, in a few minutes"
	@echo "make kubernetes    a real cluster across networks: builds Kubernetes with Go first; takes root, and half an hour"
	@echo "make audit         known holes in the packages that this runs with, by pip-audit; needs a network"
	@echo "make messages      finds what lacks Chinese, after a change to a log line or an error"
	@echo "make clean         removes what the others left, except $(VENV)"

demo: $(INSTALLED)
	@$(BIN)/python -m gotunnel.cli.demo $(if $(filter-out 0,$(ONCE)),--once)

test: $(TESTED)
	@$(BIN)/python -m tests.run -j$(JOBS) $(TESTS)

check: $(DEVELOPER)
	$(BIN)/ruff check .
	$(BIN)/mypy
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m tests.run -j$(JOBS) $(TESTS)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Other tunnels are measured too if they are on the PATH. BENCH="--only tls rathole --rounds 3" is handed on.
bench: $(TESTED)
	@$(BIN)/python -m bench $(if $(filter-out 0,$(QUICK)),--quick) $(BENCH)

# Guided by coverage where atheris is installed, else by a seeded mutator. FUZZ="--only config" is handed on.
fuzz: $(TESTED)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(FUZZ)

# Exit code 3 where the compiler has no sanitizers.
sanitize: $(TESTED)
	@$(BIN)/python -m tests.sanitize $(filter-out tests,$(TESTS))

# Not part of `test`: docs/en/kubernetes.md says what it takes, and what came of it. KUBERNETES_BIN=folder is where the
# programs are, or are built.
KUBERNETES_BIN ?= build/kubernetes
CLUSTERS := tests.kubernetes.headline tests.kubernetes.ways
kubernetes: $(TESTED)
	@$(BIN)/python -m tests.kubernetes.build $(KUBERNETES_BIN)
	@KUBERNETES_BIN=$(KUBERNETES_BIN) $(BIN)/python -m tests.run $(if $(filter tests,$(TESTS)),$(CLUSTERS),$(TESTS))

# Exit code 1 for a known hole, 3 where no advisory data can be reached.
audit: $(TESTED)
	@$(PIP) pip-audit
	@$(BIN)/python -m tests.hostile.audit

# Adds new texts to gotunnel/i18n/zh.po, lists what lacks Chinese, and compiles.
messages: $(TESTED)
	@$(BIN)/python -m tests.messages

# setuptools comes first and builds without isolation, so that a changed setup.cfg needs no network when it asks for
# nothing new. GOTUNNEL_NATIVE=0 leaves the compiled part of the relay out (setup.py).
NATIVE := $(wildcard gotunnel/net/fast/native/*.[ch])
$(INSTALLED): setup.cfg setup.py pyproject.toml $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "gotunnel needs Python 3.10 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(CLEAR) $(VENV) || { echo "on Debian: apt-get install python3-venv"; exit 1; }
	$(PIP) 'setuptools>=77'
	$(PIP) --no-build-isolation -e .
	@[ "$$GOTUNNEL_NATIVE" = 0 ] || $(BIN)/python -c 'import gotunnel.net.fast._native' 2>/dev/null \
		|| echo "the relay runs in Python alone; with a part of it compiled it costs less: on Debian," \
			"apt-get install gcc libc6-dev python3-dev, and then make -B $@"
	@echo "$(CURDIR)" > $@

# What tests and developers need is apart from that: no demo fails for want of it. It is installed with isolation, so
# that what has no wheel for a new Python yet is built, by whatever its build asks for; autobahn needs no compiler so.
EXTRA = $(BIN)/python -c 'import configparser, sys; setup = configparser.ConfigParser(); setup.read("setup.cfg"); \
	print(setup["options.extras_require"][sys.argv[1]])'

$(TESTED): $(INSTALLED)
	@$(EXTRA) test > $(VENV)/test.txt
	AUTOBAHN_USE_NVX=0 $(PIP) -r $(VENV)/test.txt
	@touch $@

$(DEVELOPER): $(TESTED)
	@$(EXTRA) dev > $(VENV)/dev.txt
	$(PIP) -r $(VENV)/dev.txt
	@touch $@

clean:
	rm -rf build dist *.egg-info _trial_temp* .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov
	rm -f .coverage .coverage.* coverage.xml twisted/plugins/dropin.cache
	find gotunnel tests twisted -name __pycache__ -type d -prune -exec rm -rf {} +
