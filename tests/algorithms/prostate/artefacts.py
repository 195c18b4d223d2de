"""The artefacts of an invented prostate case, for the tests of pictures and report: nothing in it is from a person.

Two slides of needle cores are used, one was refused for its focus and one for its missing scale.  Numbers follow plain
rules so that pictures and tables have something to show; none claims to be what the models would give.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

MPP = 2.0
"""Microns per level-0 pixel: five millimetres of core in 2300 pixels."""

TILE_PX = 56
DOWNSAMPLE = 4
SIZE = (900, 2600)
"""Width and height of a slide in pixels."""

CORES = {"s01": ((260.0, 0.02, 85.0), (620.0, -0.03, 90.0)), "s02": ((450.0, 0.09, 130.0),), "s03": ((450.0, 0.0, 110.0),)}
"""Needle cores of each slide: x at half height, slope, half width."""


def build(folder: Path, **changed: Any) -> dict[str, Path]:
    """Write every artefact that render and report read below ``folder``, without the pictures; return them by name.

    ``changed`` replaces fields of ``risk.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    collections = {name: folder / name for name in ("slides", "tissue", "tiles", "features", "attention")}
    for path in collections.values():
        path.mkdir()
    masks = {slide: _write_slide(collections, slide) for slide in CORES}
    tables = {slide: _write_tiles(collections["tiles"], slide, masks[slide]) for slide in ("s01", "s02")}
    attention = _write_attention(collections, tables)
    for slide, table in tables.items():
        _write_features(collections["features"] / slide, table.num_rows)
    documents = {
        "selection": selection(), "declared": declared(), "privacy": privacy(), "quality": quality(),
        "grid": _grid(tables), "clinical": clinical(), "risk": risk(attention) | changed, "recommendation": recommendation(),
    }  # fmt: skip
    paths = {name: folder / f"{name}.json" for name in documents}
    for name, document in documents.items():
        paths[name].write_text(json.dumps(document))
    return collections | paths


def _pixels(slide: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the slide's pixels (Y, X, 3) and whether each is tissue (Y, X)."""
    rng = np.random.default_rng(int(slide[1:]))
    width, height = SIZE
    y, x = np.mgrid[:height:DOWNSAMPLE, :width:DOWNSAMPLE].astype(np.float32)
    tissue = np.zeros(y.shape, bool)
    wobble = gaussian_filter(rng.normal(size=y.shape[0]), 40)[:, None] * 200
    for centre, slope, half in CORES[slide]:
        along = centre + slope * (y - height / 2) + wobble
        tissue |= (np.abs(x - along) < half) & (np.abs(y - height / 2) < 0.45 * height)
    texture = gaussian_filter(rng.normal(size=y.shape), 2)[..., None]
    nuclei = (gaussian_filter(rng.normal(size=y.shape), 1.0) > 0.42)[..., None]
    stained = np.where(nuclei, [110, 70, 140], [226, 160, 190] + 60 * texture)
    small = np.clip(np.where(tissue[..., None], stained, [244, 242, 245]), 0, 255)
    if slide == "s03":
        small = gaussian_filter(small, (8, 8, 0))
    big = zoom(small, (DOWNSAMPLE, DOWNSAMPLE, 1), order=0)[:height, :width].astype(np.uint8)
    return big, tissue


def _write_slide(folders: dict[str, Path], slide: str) -> np.ndarray:
    """Write the slide, its thumbnail and its mask; return the mask."""
    pixels, tissue = _pixels(slide)
    scale = {"resolution": (1e4 / MPP, 1e4 / MPP), "resolutionunit": "CENTIMETER", "software": False}
    tifffile.imwrite(
        folders["slides"] / f"{slide}.tiff",
        pixels,
        tile=(256, 256),
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},
        **scale,
    )
    mask = tissue.astype(np.uint8)
    if slide == "s01":
        mask[40:90, 100:140] = 2
        mask[200:260] = np.where(mask[200:260] == 1, 3, mask[200:260])
        mask[450:458] = np.where(mask[450:458] == 1, 4, mask[450:458])
    if slide == "s03":
        mask[mask == 1] = 3
    place = folders["tissue"] / slide
    place.mkdir()
    Image.fromarray(pixels[DOWNSAMPLE // 2 :: DOWNSAMPLE, DOWNSAMPLE // 2 :: DOWNSAMPLE]).save(place / "thumbnail.png")
    Image.fromarray(mask).save(place / "mask.png")
    return mask


def _write_tiles(folder: Path, slide: str, mask: np.ndarray) -> pa.Table:
    step = TILE_PX // DOWNSAMPLE
    rows = []
    for y in range(0, mask.shape[0] - step, step):
        for x in range(0, mask.shape[1] - step, step):
            part = mask[y : y + step, x : x + step]
            tissue, pen, blurred, fold = ((part == value).mean() for value in (1, 2, 3, 4))
            if tissue >= 0.5:
                rows.append((x * DOWNSAMPLE, y * DOWNSAMPLE, tissue, pen, blurred, fold))
    columns = list(zip(*rows, strict=True))
    told = {
        "slide": slide, "tile_px": TILE_PX, "tile_mpp": MPP, "mpp": MPP, "extent_px": float(TILE_PX),
        "width": SIZE[0], "height": SIZE[1],
    }  # fmt: skip
    names = ("x", "y", "tissue", "pen", "blurred", "fold")
    types = (pa.int32(), pa.int32(), *[pa.float32()] * 4)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    metadata = {name.encode(): str(value).encode() for name, value in told.items()}
    table = pa.table(dict(zip(names, arrays, strict=True))).replace_schema_metadata(metadata)
    pq.write_table(table, folder / f"{slide}.parquet")
    return table


def _write_attention(folders: dict[str, Path], tables: dict[str, pa.Table]) -> dict[str, np.ndarray]:
    """Give a spot of s01 forty times the attention of what is far from it; one tile of s02 has no feature."""
    raw = {}
    for slide, table in tables.items():
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        spot = (640, 700) if slide == "s01" else (420, 1950)
        strength = 40 if slide == "s01" else 8
        raw[slide] = 1 + strength * np.exp(-np.hypot(x - spot[0], (y - spot[1]) / 2) / 75)
    raw["s02"][3] = np.nan
    total = sum(np.nansum(values) for values in raw.values())
    shares = {slide: (values / total).astype(np.float32) for slide, values in raw.items()}
    for slide, values in shares.items():
        np.save(folders["attention"] / f"{slide}.npy", values)
    return shares


def _write_features(folder: Path, rows: int) -> None:
    folder.mkdir()
    corrupt = [{"row": 3, "x": 448, "y": 336, "reason": "the tile's JPEG data ends early"}] if folder.name == "s02" else []
    document = {
        "encoder": "heartwood-small", "weights_sha256": "5a" * 32, "dimension": 192, "tiles": rows,
        "shards": [{"file": "shard-00000.npy", "rows": rows, "sha256": "6b" * 32}], "corrupt": corrupt,
    }  # fmt: skip
    (folder / "features.json").write_text(json.dumps(document))


def facts(**changed: Any) -> dict[str, Any]:
    """Return the facts of a slide as the door finds them."""
    return {
        "vendor": "aperio", "width": SIZE[0], "height": SIZE[1], "tile_width": 256, "tile_height": 256,
        "levels": [list(SIZE)], "compression": "JPEG", "mpp": MPP, "objective_power": 20, "scanner": "Aperio AT2",
    } | changed  # fmt: skip


UNSCALED = "the slide has no microns per pixel; send the file as the scanner wrote it, or give its scale"
BLURRED = "0.02 of the tissue is in focus, wanted 0.5 or more; scan the slide again"


def selection() -> dict[str, Any]:
    """Return what the door found: four slides, one of them without a scale, and a file that is none."""
    slides = [
        {"slide": f"s0{n}", "file": f"00000{n + 1}", "accepted": True, "reason": None, "facts": facts()} for n in (1, 2, 3)
    ]
    slides.append({"slide": "s04", "file": "000006", "accepted": False, "reason": UNSCALED, "facts": facts(mpp=None)})
    ignored = [{"file": "000001", "reason": "it is no slide: the file begins like text"}]
    return {"slides": slides, "ignored": ignored, "clinical_file": True}


def declared() -> dict[str, Any]:
    """Return what clinical.json said: a T stage that is none, and three fields that were dropped."""
    values = {"age_years": 67, "psa_ng_ml": 6.8, "gleason_primary": 3, "gleason_secondary": 4}
    problems = {"t_stage": "t_stage is not a clinical T stage; wanted one of T1 to T4"}
    return {"values": values, "problems": problems, "dropped_fields": 3}


def privacy() -> dict[str, Any]:
    """Return the record of a de-identification that left nothing."""
    slides = [
        {
            "slide": slide, "pages_copied": 1, "pages_dropped": {"label": 1, "macro": 1, "thumbnail": 1}, "fields_dropped": 17,
            "segments_stripped": 2, "tiles": 126, "bytes": 4_800_000,
        }
        for slide in CORES
    ]  # fmt: skip
    policy = "encoded tiles are copied as they are; of the text only scale, power and an allowed scanner model are kept"
    checks = ["no text of the originals is in any byte of the copies"]
    return {"slides": slides, "scan": {"searched": 164, "found": 0}, "policy": policy, "checks": checks}


def check(name: str, value: float, wanted: str, unit: str = "1", *, passed: bool = True, help: str = "") -> dict[str, Any]:
    """Return one check as the stages write it."""
    return {"name": name, "value": value, "unit": unit, "limit": wanted, "passed": passed, "help": help or name}


def quality() -> dict[str, Any]:
    """Return the verdicts on three slides, the last of which is out of focus."""
    slides = []
    for slide in CORES:
        blurred = slide == "s03"
        measures = {
            "tissue_mm2": 17.6 if slide == "s01" else 9.1, "tissue_fraction": 0.31, "pen_fraction": 0.01,
            "blurred_fraction": 0.98 if blurred else 0.06, "fold_fraction": 0.004, "focus": 0.02 if blurred else 0.9,
        }  # fmt: skip
        checks = [
            check("tissue", measures["tissue_mm2"], ">= 0.5", "mm2", help="tissue that can be read"),
            check("in_focus", measures["focus"], ">= 0.5", passed=not blurred, help="share of the tissue that is in focus"),
        ]
        kept = {
            name: facts()[name] for name in ("vendor", "width", "height", "levels", "mpp", "objective_power", "compression")
        }
        size = {"width": SIZE[0] // DOWNSAMPLE, "height": SIZE[1] // DOWNSAMPLE, "level0_px_per_px": float(DOWNSAMPLE)}
        slides.append(
            {
                "slide": slide, "usable": not blurred, "reasons": [BLURRED] if blurred else [],
                "facts": kept | {"mpp_from": "file"}, "overview": size, "measures": measures, "checks": checks,
            }
        )  # fmt: skip
    return {"slides": slides}


def _grid(tables: dict[str, pa.Table]) -> dict[str, Any]:
    slides = [
        {"slide": s, "tiles": t.num_rows, "candidates": t.num_rows + 40, "extent_px": float(TILE_PX), "mpp": MPP}
        for s, t in tables.items()
    ]
    return {"tile_px": TILE_PX, "tile_mpp": MPP, "slides": slides}


def clinical() -> dict[str, Any]:
    """Return six variables, of which one is missing, and the groups that follow from them."""

    def value(given: Any, unit: str, title: str, origin: str = "file") -> dict[str, Any]:
        return {"value": given, "unit": unit, "origin": origin, "title": title}

    values = {
        "age_years": value(67, "years", "age at biopsy"), "psa_ng_ml": value(6.8, "ng/ml", "PSA before biopsy"),
        "gleason_primary": value(3, "1", "primary Gleason pattern"),
        "gleason_secondary": value(4, "1", "secondary Gleason pattern"),
        "t_stage": value(None, "", "clinical T stage", "missing"),
        "percent_positive_cores": value(41.7, "%", "biopsy cores with cancer", "given"),
    }  # fmt: skip
    nccn = {
        "group": "favorable intermediate", "title": "Favorable intermediate risk", "edition": "Version 6.2026",
        "reasons": ["grade group 2 is the only intermediate risk factor", "fewer than half of the cores have cancer"],
        "missing": ["t_stage"],
    }  # fmt: skip
    return {"values": values, "gleason_score": "3+4=7", "isup_grade_group": 2, "nccn": nccn}


def risk(attention: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return risks that grow by a plain rule, ``1 - exp(-(t/scale)^1.3)``."""
    curves, endpoints = [], []
    scales = {"distant_metastasis": ("distant metastasis", 40.0), "prostate_cancer_death": ("death from prostate cancer", 85.0)}
    years = [0.25 * n for n in range(41)]
    for endpoint, (title, scale) in scales.items():
        lines = {n: [1 - float(np.exp(-((t / (scale * k)) ** 1.3))) for t in years] for n, k in _BANDS.items()}
        curves.append({"endpoint": endpoint, "title": title, "years": years} | lines)
        for horizon in (5, 10):
            at = {f"risk{end}": lines[n][4 * horizon] for n, end in (("risk", ""), ("low", "_low"), ("high", "_high"))}
            endpoints.append({"label": f"{title}, {horizon} years", "endpoint": endpoint, "horizon_years": horizon} | at)
    slides = {s: {"tiles": len(v), "attention": float(np.nansum(v, dtype=np.float64))} for s, v in attention.items()}
    return {
        "model": {
            "name": "synthetic", "weights_sha256": "7c" * 32, "encoder": "heartwood-small", "members": 10,
            "trained_on": "2400 synthetic patients",
        },
        "endpoints": endpoints, "curves": curves,
        "percentile": {"nccn_group": "favorable intermediate", "value": 71.0, "reference_n": 610},
        "risk_group": "intermediate",
        "adt": ADT,
        "imputed": ["t_stage"], "tiles": int(sum(np.isfinite(v).sum() for v in attention.values())), "slides": slides,
        "calibration": [_calibration(endpoint) for endpoint in scales],
        "treatment": "radiotherapy alone", "competing": "death of other causes competes, by age alone",
        "checks": [check("distance_to_training", 1.2, "<= 3", help="distance from the slides learnt")],
    }  # fmt: skip


def _calibration(endpoint: str) -> dict[str, Any]:
    found = [{"men": 80, "expected": 0.04 * n, "observed": 0.036 * n} for n in range(1, 6)]
    horizons = [{"horizon_years": horizon, "bins": found} for horizon in (5, 10)]
    return {"endpoint": endpoint, "men": 400, "intercept": -0.1, "slope": 0.98, "horizons": horizons}


ADT = {
    "benefit": 0.021, "benefit_low": -0.004, "benefit_high": 0.047, "horizon_years": 10, "endpoint": "distant_metastasis",
    "threshold": 0.04, "positive": False,
}  # fmt: skip
"""The effect of short-term ADT on this man's risk."""

_BANDS = {"risk": 1.0, "low": 1.35, "high": 0.72}


def recommendation() -> dict[str, Any]:
    """Return one suggestion and a negative biomarker."""
    suggestion = {
        "rule": "favorable-intermediate",
        "text": "Consider and discuss active surveillance, radiation therapy or radical prostatectomy.",
        "evidence": ["After ten years, death from prostate cancer was about 1 % in each arm."],
        "sources": ["Hamdy et al., N Engl J Med 375:1415 (2016), doi:10.1056/NEJMoa1606220"],
    }  # fmt: skip
    biomarker = {
        "text": "ADT biomarker negative: discuss radiation therapy without ADT.",
        "sources": ["Spratt et al. (2023)"],
    } | ADT
    limits = ["Suggestions follow the risk group alone; comorbidity and the patient's wishes are not known here."]
    return {"suggestions": [suggestion], "adt_biomarker": biomarker, "edition": "Version 6.2026", "limits": limits}


def record(failed: str | None = None, kind: str = "data", message: str = "") -> dict[str, Any]:
    """Return the pipeline's record of a run in which ``failed`` failed (or nothing did)."""
    from algorithms.prostate.pipeline import PIPELINE

    stages, state = [], "done"
    for stage in PIPELINE.stages[: PIPELINE.stages.index(PIPELINE.stage("report"))]:
        here = "failed" if stage.name == failed else state
        done = here == "done"
        stages.append(
            {
                "name": stage.name, "help": stage.help, "source": stage.source, "state": here, "version": stage.version,
                "key": f"{len(stages):02d}" + "ab" * 31 if here != "not run" else None,
                "parameters": {p.name: p.default for p in stage.parameters}, "measurements": {"seen": 1} if done else {},
                "outputs": {o.name: f"{len(stages):02d}" + "cd" * 31 for o in stage.outputs} if done else {},
                "inputs": dict.fromkeys(stage.inputs, "ef" * 32) if here != "not run" else {},
                "failure": {"kind": kind, "message": message} if here == "failed" else None,
            }
        )  # fmt: skip
        if here == "failed":
            state = "not run"
    return {
        "case_id": "demo-0002", "pipeline": PIPELINE.name, "title": PIPELINE.title, "heartwood": "0.1.0", "stages": stages,
    }  # fmt: skip


def lacking(inputs: dict[str, Path], stage: str) -> dict[str, Path]:
    """Return the artefacts that a case has when ``stage`` fails: those of the stages before it."""
    from algorithms.prostate.pipeline import PIPELINE

    names = [s.name for s in PIPELINE.stages]
    made = {o.name for s in PIPELINE.stages[: names.index(stage)] for o in s.outputs}
    return {name: path for name, path in inputs.items() if name in made}
