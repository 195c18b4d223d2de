"""The case contract: case, stage, artefact, manifest, pipeline, and the errors they raise (docs/contract.md)."""
