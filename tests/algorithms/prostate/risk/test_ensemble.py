"""The ensemble's risks: what must hold of any, and what a small trained one must know."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.contract.errors import DataError
from algorithms.prostate.risk.concordance import harrell_c
from algorithms.prostate.risk.covariates import NAMES, T_STAGES, measured, scale_of
from algorithms.prostate.risk.description import MODELS, read_model, toml, write_model
from algorithms.prostate.risk.ensemble import HORIZONS, YEARS, forecast, head_hazards, read
from algorithms.prostate.risk.model import INTERVALS, Outputs
from algorithms.prostate.risk.projection import projection_of
from algorithms.prostate.training.cohort import true_log_hazard
from algorithms.prostate.training.fit import forecasts, hazards_of, truths
from algorithms.prostate.variables import T_STAGES as KNOWN_STAGES
from algorithms.prostate.variables import VARIABLES
from algorithms.slide.encoder.description import describe
from tests.algorithms.prostate.risk.trained import trained


def test_the_model_reads_the_variables_that_a_case_may_have():
    """A variable or stage that only one side knows would be lost without a word."""
    assert set(NAMES) == set(VARIABLES)
    assert set(T_STAGES) == set(KNOWN_STAGES)


def test_both_heads_agree_where_their_hazards_are_the_same():
    """A hazard of h a year in every interval, and a Cox baseline of h t: both give h t, with treatment h t times its ratio."""
    h, ratio = 0.04, 0.5
    outputs = Outputs(
        torch.zeros(1, 2), torch.full((1, 2, INTERVALS), float(np.log(h))), torch.full((1, 2), float(np.log(ratio)))
    )

    by_cox, by_interval = head_hazards(outputs, np.tile(h * YEARS, (2, 1)))

    assert by_cox[0, 0, 0] == pytest.approx(h * YEARS)
    assert by_interval[0, 0, 0] == pytest.approx(h * YEARS, abs=1e-6)  # single precision of the outputs
    assert by_interval[1, 0, 0] == pytest.approx(ratio * h * YEARS, abs=1e-6)


def test_risks_begin_at_nothing_rise_and_lie_in_their_intervals():
    """What any cumulative incidence must do, for all men and both endpoints."""
    found = forecasts(trained().model.ensemble, trained().judges)

    for risk in (found.risk, found.low, found.high, found.treated):
        assert (risk[..., 0] == 0).all()
        assert (np.diff(risk, axis=-1) >= 0).all()
        assert (risk <= 1).all()
    assert (found.low <= found.risk).all()
    assert (found.risk <= found.high).all()


def test_the_model_ranks_men_by_their_true_hazard():
    """Images and variables together leave chance (0.5) far behind, and cannot beat the truth but by luck."""
    judges = trained().judges
    found = forecasts(trained().model.ensemble, judges)
    truth = true_log_hazard(judges.men, np.zeros(len(judges), bool), 0)
    ranks = np.argsort(np.argsort(truth)).astype(float)

    everyone = np.ones(len(judges), bool)

    assert harrell_c(found.risk[:, 0, -1], -ranks, everyone) > 0.7


def test_intervals_hold_the_truth_of_men_that_set_them():
    """The deviation was chosen on these men so that 95 % are held at each horizon; a quantile of 100 is within 2 points."""
    held_out = trained().held_out
    found = forecasts(trained().model.ensemble, held_out)
    risk, benefit = truths(held_out)
    for e in range(2):
        for h, horizon in enumerate(HORIZONS):
            at = int(np.searchsorted(YEARS, horizon))
            holds = (found.low[:, e, at] <= risk[:, e, h]) & (risk[:, e, h] <= found.high[:, e, at])
            assert np.mean(holds) == pytest.approx(0.95, abs=0.02)

    assert np.mean((found.benefit_low <= benefit) & (benefit <= found.benefit_high)) == pytest.approx(0.95, abs=0.02)


def test_members_alone_would_be_too_sure():
    """Why the deviation is added: without it far fewer than 95 % are held."""
    judges, ensemble = trained().judges, trained().model.ensemble
    found = forecasts(replace(ensemble, common=np.zeros_like(ensemble.common)), judges)
    risk, _ = truths(judges)

    assert np.mean((found.low[:, 0, -1] <= risk[:, 0, 1]) & (risk[:, 0, 1] <= found.high[:, 0, -1])) < 0.9


def test_a_missing_age_counts_as_the_mean():
    """Mean imputation, also where death of other causes is worked out."""
    ensemble, judges = trained().model.ensemble, trained().judges
    hazards = hazards_of(ensemble, judges)
    mean = np.full(len(judges), ensemble.scale.mean[0])

    unknown = forecast(ensemble, hazards, np.full(len(judges), np.nan))

    assert unknown.risk == pytest.approx(forecast(ensemble, hazards, mean).risk)


def test_a_missing_value_is_the_mean_and_marked():
    """Standardised, the mean is 0; the second half of the covariates marks what is missing."""
    numbers = np.stack([measured({"psa_ng_ml": p, "age_years": a}) for p, a in ((1.0, 60), (10.0, 70))])
    numbers[:, 2:] = [[3, 3, 0, 10], [4, 4, 1, 50]]
    scale = scale_of(numbers)
    man = measured({"psa_ng_ml": 10.0})

    covariates = scale.covariates(man[None])[0]

    assert covariates[:6] == pytest.approx([0, 1, 0, 0, 0, 0])
    assert covariates[6:].tolist() == [1, 0, 1, 1, 1, 1]
    assert scale.outside(measured({"psa_ng_ml": 11.0, "age_years": 65})) == ["psa_ng_ml"]


def test_the_projections_distance_is_mahalanobis():
    """With all axes kept it is the textbook formula, divided by the square root of the dimension."""
    rng = np.random.default_rng(2)
    features = rng.standard_normal((500, 6)) @ rng.standard_normal((6, 6))
    other = rng.standard_normal((20, 6)) * 3
    centred = other - features.mean(axis=0)

    expected = np.sqrt(np.einsum("ti,ij,tj->t", centred, np.linalg.inv(np.cov(features, rowvar=False)), centred) / 6)

    assert projection_of(features, 6)(other)[1] == pytest.approx(expected, rel=1e-3)  # single precision


def test_reading_in_pieces_gives_what_reading_at_once_gives():
    """Two hundred thousand tiles come shard by shard; the size of a shard must not show in the risk."""
    ensemble = trained().model.ensemble
    features = trained().judges.features[:20].reshape(-1, trained().judges.features.shape[-1])

    whole = read(ensemble, [features])
    pieces = read(ensemble, np.array_split(features, 7))

    assert torch.allclose(whole.bags.attended, pieces.bags.attended, atol=1e-6)
    assert whole.attention() == pytest.approx(pieces.attention(), rel=1e-5)
    assert whole.attention().sum() == pytest.approx(1.0, abs=1e-12)


def test_a_model_comes_back_from_its_files_as_it_was(tmp_path):
    """Single precision of the weights is what it was trained in; only scales and baselines are rounded to it."""
    write_model("again", tmp_path, trained().model)
    judges = trained().judges

    again = read_model("again", tmp_path)

    assert forecasts(again.ensemble, judges).risk == pytest.approx(forecasts(trained().model.ensemble, judges).risk, rel=1e-4)
    assert set(again.reference) == set(trained().model.reference)


def test_weights_of_another_sha256_are_refused(tmp_path):
    """One flipped bit is another model; the message says what to do."""
    write_model("broken", tmp_path, trained().model)
    path = tmp_path / "broken.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="put back the two files"):
        read_model("broken", tmp_path)


def test_missing_weights_are_refused(tmp_path):
    """A description alone answers nothing."""
    write_model("half", tmp_path, trained().model)
    (tmp_path / "half.safetensors").unlink()

    with pytest.raises(DataError, match="are missing"):
        read_model("half", tmp_path)


def test_the_description_is_toml():
    """Written by our own few lines, read by Python's parser."""
    document = {"a": 'ü "quoted"', "b": [1.5, 2e-07, True], "c": [{"x": [{"y": 1}]}], "d": {"e": -3, "f": {"g": "h"}}}

    assert tomllib.loads(toml(document)) == document


def test_the_model_that_ships_reads_the_encoder_that_ships():
    """Both are chosen by default; were one trained again without the other, every case would be refused."""
    model = read_model("synthetic").description
    encoder = describe(model["encoder"]["name"])

    assert encoder.sha256 == model["encoder"]["weights_sha256"]
    assert encoder.architecture.dimension == model["encoder"]["dimension"]


def test_the_model_that_ships_says_that_it_knows_no_patient():
    """The report takes its warning from these words."""
    assert "synthetic" in read_model("synthetic").description["trained_on"]
    assert "Nothing in this model comes from a patient" in (MODELS / "synthetic.md").read_text()
