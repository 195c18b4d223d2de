"""Train heartwood-small, the encoder that ships, and write its weights, description and model card.

    python -m algorithms.prostate.training.encoder

What it is taught is in `encoder_lesson`.  About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from algorithms.prostate.training.encoder_lesson import (
    ARCHITECTURE,
    FIGURES,
    MEAN,
    STD,
    TILE_MPP,
    Plan,
    Student,
    figures,
    made,
    trained,
)
from algorithms.slide.encoder.description import ENCODERS

log = logging.getLogger(__name__)

NAME = "heartwood-small"


def shipped(student: Student, out: Path) -> str:
    """Write the encoder's weights as float16, leave the student with what was written, and return the file's sha256."""
    halves = {name: value.half().contiguous() for name, value in student.encoder.state_dict().items()}
    student.encoder.load_state_dict({name: value.float() for name, value in halves.items()})
    # Written here: `save_file` makes a file that only its owner may read.
    content = save(halves)
    (out / f"{NAME}.safetensors").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def description(sha256: str) -> str:
    """Return the description of the encoder."""
    tables = {
        "": {
            "title": "Heartwood small (ViT, synthetic tissue)",
            "licence": "Apache 2.0",
            "gated": False,
            "ask": "this project",
            "uri": f"algorithms/slide/encoders/{NAME}.safetensors",
            "sha256": sha256,
            "citation": "Heartwood, docs/prostate.md, Encoder; algorithms/prostate/training/encoder.py made it",
            "card": f"algorithms/slide/encoders/{NAME}.md",
        },
        "[input]": {"tile_px": ARCHITECTURE.img_size, "tile_mpp": TILE_MPP, "mean": list(MEAN), "std": list(STD)},
        "[architecture]": asdict(ARCHITECTURE),
    }
    lines = ["# Written by python -m algorithms.prostate.training.encoder"]
    for title, table in tables.items():
        lines += [*(["", title] if title else []), *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def card(plan: Plan, parameters: int, known: dict[str, float], strange: dict[str, float]) -> str:
    """Return the model card, with the figures of men that were held out: stained as in the training, and strangely."""
    rows = "\n".join(f"| {FIGURES[name]} | {known[name]:.2f} | {strange[name]:.2f} |" for name in FIGURES)
    shown = plan.part_steps * plan.part_batch + plan.whole_steps * plan.whole_batch
    return f"""# Model card: {NAME}

Written by `python -m algorithms.prostate.training.encoder`; every number here is computed by it.

## What it is

A Vision Transformer of {parameters / 1e6:.2f} million parameters.
It turns a tile of {ARCHITECTURE.img_size} pixels a side, {TILE_MPP} um each, into {ARCHITECTURE.dimension} numbers.
It has learnt from synthetic tissue only (`algorithms/phantom/biopsy`): {plan.tiles} tiles, one a man, seed {plan.seed}.
It was taught the share of each pattern (stroma, benign glands, Gleason 3, 4 and 5), how pleomorphic the nuclei of the
cancer are, and how many lymphocytes there are.
It saw {shown} tiles or quarters of tiles, turned, mirrored, stained and lit anew each time.

## What it is not

**It has never seen tissue of a human being and is not for patients.**
It ships so that the pipeline runs whole on any machine, in demonstrations and in tests.
What it says of a real slide has no known relation to any disease.
For research on real slides, use a published encoder (`algorithms/slide/encoders/`) and train a risk model on its features.

## How well it reads synthetic tissue that it has not seen

{plan.held_out} tiles of {plan.held_out} men that were held out, read from the embedding by the linear layers of the training.
*Strange stain*: each dye is a third weaker or half stronger and turned in colour by 0.15 rad, three standard deviations of
the laboratories of the training.

| | stain as in the training | strange stain |
|---|---|---|
{rows}

Pleomorphism and lymphocytes are properties of a man: one tile shows few nuclei, so what one tile says of him is limited.

## Input

8-bit RGB at {TILE_MPP} um per pixel.
Mean {MEAN} and standard deviation {STD} of white are folded into the first layer when it is loaded.

## Licence

Apache 2.0, like the rest of this project.
"""


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ENCODERS, help="folder for the weights, the description and the card")
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of the men, the first weights and the order")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    plan = Plan(seed=options.seed)
    student = trained(plan)
    write(student, plan, options.out)


def write(student: Student, plan: Plan, out: Path) -> None:
    """Write weights, description and card into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    sha256 = shipped(student, out)
    known = figures(student, made(plan.held_out, (plan.seed, 1)))
    strange = figures(student, made(plan.held_out, (plan.seed, 2), strange_stain=True))
    log.info("held-out men: %s; strange stain: %s", known, strange)
    parameters = sum(p.numel() for p in student.encoder.parameters())
    (out / f"{NAME}.md").write_text(card(plan, parameters, known, strange))
    # Last: the description makes the encoder known.
    (out / f"{NAME}.toml").write_text(description(sha256))


if __name__ == "__main__":
    main()
