# Two commands do everything on a fresh Debian machine with git, make, python3 and its venv module:
#   make demo   the whole loop on the virtual lab, in process
#   make test   every test, the ones on a real audio server included
# and for those who want to see figures beside peers, on an idle machine:
#   make faults kills, flipped bytes, full disks and unlikely files by the thousand, in some hours; --short of it is a test
#   make soak   30 minutes of play and 500 verifications: whether memory stays at its level
#   make bench  many minutes, on one core where nothing else is said; builds a small driver for zita-convolver

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ONE     = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
DEBIAN  = libportaudio2 jackd2 chromium brutefir jconvolver ffmpeg gcc libc6-dev clang lilv-utils lv2-dev jalv sordi libjack-jackd2-dev \
          pipewire pipewire-bin pipewire-jack wireplumber dbus openssl

# A package without a wheel for this Python is built from source, which fails after a page of other words.
INSTALL = echo "Installing packages in $(VENV)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e $(1) || { echo; \
	echo "Packages could not be installed for $$($(BIN)/python --version), see above. Tested are Python 3.11 to 3.14; for a"; \
	echo "newer one some packages may have no wheel yet. With another Python: make clean, then for instance"; \
	echo "  make $(or $(MAKECMDGOALS),demo) PYTHON=python3.13"; exit 1; }

.PHONY: demo test lint mutants faults soak bench bench-short profile debian links clean
.DELETE_ON_ERROR:
# Where it is set, each of the hundreds of programs that the tests start would parse all its modules again.
unexport PYTHONDONTWRITEBYTECODE

demo: $(VENV)/.ready
	$(BIN)/sweetspot demo

# What keeps time with an audio server mostly waits. The rest runs beside it on every core, and yields to it (nice).
test: debian $(VENV)/.ready-dev
	@log=$$(mktemp); $(ONE) $(BIN)/python -m pytest -m server > $$log 2>&1 & server=$$!; trap "kill $$!" INT TERM; \
	$(ONE) nice -n 5 $(BIN)/python -m pytest -n auto --dist loadfile -m "not server"; rest=$$?; \
	echo "Tests with an audio server, which ran beside these:"; \
	wait $$server; served=$$?; cat $$log; rm -f $$log; exit $$((rest | served))

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Hours: every change of a line in what protects hardware and decides must make a test fail; or: make mutants GROUPS=guard
mutants: $(VENV)/.ready-dev
	@$(call INSTALL,".[dev,mutants]")
	$(ONE) $(BIN)/python tests/mutants.py $(GROUPS)

faults: $(VENV)/.ready-dev
	$(ONE) $(BIN)/python tests/faults/suite.py
	$(ONE) $(BIN)/python tests/faults/extremes.py

# Memory stays at its level over 30 minutes of play and 500 verifications: an hour and a half; the first words of
# tests/faults/soak.py tell of shorter forms.
soak: debian $(VENV)/.ready-dev
	$(ONE) $(BIN)/python tests/faults/soak.py

bench: DEBIAN += g++ libzita-convolver-dev
bench: debian $(VENV)/.ready-bench
	@short=""; for b in tests/bench/*.py; do echo; echo "== $$b"; $(ONE) $(BIN)/python $$b || short="$$short $$b"; done; \
	[ -z "$$short" ] || { echo; echo "Not every figure was reached:$$short"; exit 1; }

# The short form: time of every command, files beside fconvolver and BruteFIR, deconvolution beside pyfar, sessions.
SHORT = commands.py "offline.py --short" deconvolution.py session.py
bench-short: debian $(VENV)/.ready-bench
	@short=""; for b in $(SHORT); do echo; echo "== $$b"; $(ONE) $(BIN)/python tests/bench/$$b || short="$$short $$b"; done; \
	[ -z "$$short" ] || { echo; echo "Not every figure was reached:$$short"; exit 1; }

# Where the time of every command goes, by stage.
profile: $(VENV)/.ready-dev
	$(ONE) $(BIN)/python tests/bench/commands.py

$(VENV)/.ready-bench: $(VENV)/.ready-dev
	@$(call INSTALL,".[dev,bench]")
	touch $@

# Debian packages of the tests: audio server, browser, engines to compare with. From Debian 13 on, jack_wait and
# jack_freewheel are in a package of their own, which Debian 12 does not know.
debian:
	@missing=""; for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	tools=""; command -v jack_wait >/dev/null || tools=" jack-example-tools"; \
	[ -z "$$missing$$tools" ] && exit 0; \
	if [ "$$(id -u)" = 0 ]; then run=""; \
	elif sudo -n true 2>/dev/null; then run="sudo"; \
	else echo "The tests need Debian packages that are not installed, and neither root nor sudo is at hand."; \
	     echo "Install them, then run make test again:"; echo "  apt-get install --no-install-recommends$$missing"; \
	     [ -z "$$tools" ] || echo "  and from Debian 13 on:$$tools"; exit 1; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$run apt-get update -qq; apt-cache show $$tools >/dev/null 2>&1 || tools=""; \
	$$run apt-get install -y -qq --no-install-recommends $$missing $$tools

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	@$(call INSTALL,.)
	@$(MAKE) --no-print-directory links
	touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	@$(call INSTALL,".[dev]")
	@$(MAKE) --no-print-directory links
	touch $@ $(VENV)/.ready

# The rooms under their one name, for type checkers and editors, which do not run the installed package's mapping.
links:
	@rm -rf $(VENV)/src && mkdir -p $(VENV)/src/sweetspot
	@for room in rigs measure processor calibrate; do ln -s ../../../$$room $(VENV)/src/sweetspot/$$room; done
	@for file in sweetspot/*; do case $$file in *.py|*.typed) ln -s ../../../$$file $(VENV)/src/$$file;; esac; done

clean:
	rm -rf $(VENV) build dist *.egg-info
