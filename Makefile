# Thin on purpose: what a target does is in scripts/, cargo or tests/cluster. `make` lists the targets.
.DEFAULT_GOAL := help
IMAGE_ARCHIVE := target/image.tar
FAST_TESTS := --lib --bins --test crds --test samples --test architecture --test documentation

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## See it work: a local cluster, a model on its nodes, a client that loads it offline (MODEL=org/name, CLUSTER=existing)
	@scripts/demo

demo-down: ## Remove every trace of the demo
	@scripts/demo-down

test: prerequisites lint image ## Everything: formatting, lints, unit, API-server and real-node tests
	cargo test --all-targets --no-fail-fast

unit: ## The quick inner loop: no cluster, under a minute
	cargo test $(FAST_TESTS)

bench: ## Against hf, curl, aria2c, cp, restic, tar and others, in turns: docs/benchmarks.md (ARGS="--small loopback" for a look)
	cargo bench --bench peers -- $(ARGS)

lint: ## Formatting and lints, as strict as the tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

generate: ## Write crds/ and docs/reference/ anew from src/api, and the chart from values.yaml and config/
	UPDATE_CRDS=1 cargo test --quiet --test crds
	UPDATE_DOCS=1 cargo test --quiet --test documentation the_reference
	UPDATE_CHART=1 cargo test --quiet --test chart -- generated copies

book: ## The pages of docs/ as a book, with every link checked: target/book/docs/index.html
	@scripts/book

image: ## The image as an archive, without a container tool: target/image.tar
	cargo build --release --bin modelcache
	scripts/image-archive target/release/modelcache $(IMAGE_ARCHIVE) localhost/modelcache:dev

cluster-up: ## A local cluster with two nodes to play with; prints its kubeconfig
	@tests/cluster/cluster up --name dev --nodes 2

cluster-down: ## Remove that cluster
	@tests/cluster/cluster down --name dev

prerequisites: ## Install what the tests need, or say what is missing
	@scripts/prerequisites

.PHONY: help demo demo-down test unit bench lint generate book image cluster-up cluster-down prerequisites
