# `make demo` and `make test` need Python 3.11 and the package registry, nothing else.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# uv does not read pip's find-links: pass them on, so that a CPU wheel of torch on the disk is taken.
FIND_LINKS := $(shell $(PYTHON) -m pip config list 2>/dev/null | sed -n "s/.*find-links='\(.*\)'/\1/p" | head -1)
export UV_FIND_LINKS := $(FIND_LINKS)

.PHONY: help demo up test test-all check format lock images benchmarks train clean

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' $(MAKEFILE_LIST) | column -t -s:

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet uv==0.13.9

$(VENV)/installed: $(UV) requirements.txt requirements-dev.txt
	@echo "installing the environment, about a minute"
	$(UV) pip install --quiet --python $(RUN) -r requirements.txt -r requirements-dev.txt
	touch $@

demo: $(VENV)/installed  ## run a full case of each diagnostic on a synthetic examination
	$(RUN) -m operators.laptop demo

up: $(VENV)/installed  ## start Airflow with its web UI on this machine
	$(RUN) -m operators.laptop up

test: $(VENV)/installed  ## the tests that take seconds
	$(RUN) -m pytest --numprocesses auto --dist loadfile

test-all: $(VENV)/installed  ## the long ones too
	$(RUN) -m pytest --numprocesses auto --dist loadfile -m "not system"
	$(RUN) -m pytest -m system

check: $(VENV)/installed  ## style and types
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy

format: $(VENV)/installed  ## put everything in our style
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

benchmarks: $(VENV)/installed  ## measure again what README and docs claim
	$(RUN) -m benchmarks

TRAIN := $(RUN) -m algorithms train_segmentation --input algorithms/train_segmentation/phantoms.toml --set phantoms=48 --set steps=4500 \
	--set training_precision=bfloat16
train: $(VENV)/installed  ## train both segmentation networks from phantoms, the fine one as fine_contrast was: hours on two cores
	$(TRAIN) --set network=coarse
	$(TRAIN) --set network=fine

COMPILE := $(UV) pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11

lock: $(UV)  ## resolve the requirements anew from pyproject.toml
	@# uv keeps to what the old files pin, and would take torch's plain name for the one with CUDA and its 3 GB.
	sed -i '/^torch==/d' requirements.txt requirements-dev.txt requirements-stage.txt
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group stage -c requirements.txt -o requirements-stage.txt
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.txt requirements-dev.txt requirements-stage.txt

images:  ## the container images of a stage and of Airflow, with podman
	docker/build.sh stage airflow

clean:  ## remove the environment, the embedded Airflow and its data
	rm -rf $(VENV) airflow data
