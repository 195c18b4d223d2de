"""Which cases are answered again: those whose report is not today's, and no others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline, pipelines
from operators.credentials import deployment_store
from operators.reprocess.comparison import Answered, record_reprocessed
from operators.reprocess.stale import Found, Left, Stale, find, look_again
from operators.results.database import transaction
from operators.results.models import Case as CaseRow
from operators.retention.shred import request, shred
from operators.settings import Settings
from tests.operators.reprocess.conftest import CORONARY, Answer, answer_with, earlier, with_default

PROSTATE = pipeline("prostate")


def search(here: Settings, **how) -> Found:
    return find(here, how.pop("pipelines", [CORONARY]), limit=how.pop("limit", 100), **how)


def record(here: Settings, case: Case, **columns) -> None:
    """Write into the row of a case."""
    with transaction(here.results_url) as connection:
        connection.execute(update(CaseRow).where(CaseRow.case_id == case.case_id).values(**columns))


def results(case: Case) -> dict[str, int]:
    """Return how many results each stage has."""
    return {folder.name: len(list(folder.glob("*/manifest.json"))) for folder in case.folder.iterdir() if folder.is_dir()}


@pytest.mark.parametrize("name", sorted(pipelines()))
def test_a_case_with_todays_report_is_left_alone(here: Settings, answered: Answer, name: str) -> None:
    """Nothing changed since: nothing to do, however often one looks."""
    answered(pipeline(name))

    assert search(here, pipelines=pipelines().values()) == Found(1, (), (), more=False)


@pytest.mark.parametrize("stage", ["receive", "volume", "ffr", "report"])
def test_a_stage_whose_version_was_raised_makes_its_cases_stale(here: Settings, answered: Answer, stage: str) -> None:
    """The run begins at that stage; what is before it has its result and is not computed again."""
    case = answered(earlier(CORONARY, stage, version=0))

    (stale,) = search(here).stale

    assert (stale.case_id, stale.begins_at) == (case.case_id, stage)


def test_a_changed_rule_or_model_makes_its_cases_stale(here: Settings, answered: Answer) -> None:
    """Weights and rules are inputs by the hash of the files that describe them, as if the version had been raised."""
    answered(earlier(PROSTATE, "aggregate", reads=("algorithms/slide/encoders/uni.toml",)))

    (stale,) = search(here, pipelines=[PROSTATE]).stale

    assert stale.begins_at == "aggregate"


def test_a_new_default_is_followed_and_a_choice_is_kept(here: Settings, answered: Answer) -> None:
    """Nobody chose the old viscosity, so its new default counts; the blood pressure was measured and stays."""
    case = answered(with_default(CORONARY, "viscosity_pa_s", 0.004), {"systolic_mmhg": 151.0})

    judged, given = look_again(here, CORONARY, case.case_id)

    assert isinstance(judged, Stale)
    assert given == {"systolic_mmhg": 151.0}
    answer_with(here, CORONARY, case, given)
    assert search(here).stale == ()


def test_a_choice_that_happens_to_be_an_older_default_is_kept(here: Settings, answered: Answer) -> None:
    """Results are shared by key, so a manifest cannot tell who chose its values; the row of the case can."""
    before = with_default(CORONARY, "viscosity_pa_s", 0.004)
    case = answered(before)
    answer_with(here, CORONARY, case, {"viscosity_pa_s": 0.004})

    assert search(here).stale == ()
    assert results(case)["boundary"] == 1


def test_of_cases_from_before_choices_were_kept_every_other_value_counts_as_chosen(here: Settings, answered: Answer) -> None:
    """Stubs have no provenance, so nothing was chosen; a report that is gone is said, not guessed."""
    case = answered()
    record(here, case, chosen=None)
    assert search(here) == Found(1, (), (), more=False)

    shutil.rmtree(case.folder / "report")

    (left,) = search(here).left
    assert left.reason == "what was chosen for the case is not known: its report is not in the case folder"


def test_only_what_changed_runs_again_and_the_old_report_stays(here: Settings, answered: Answer) -> None:
    """Stubs of both versions have equal bytes: the stage itself and the report, which names versions, are new."""
    case = answered(earlier(CORONARY, "flow", version=0))

    answer_with(here, CORONARY, case, {})

    assert {stage for stage, count in results(case).items() if count == 2} == {"flow", "report", "exchange"}
    assert set(results(case).values()) == {1, 2}
    assert search(here).stale == ()


def test_a_refused_case_is_answered_again_once(here: Settings, answered: Answer) -> None:
    """Its report says why it was refused; with the same stages it would be refused again, so it is not stale."""
    case = answered(earlier(CORONARY, "receive", version=0))
    (here.home_folder.inbox / case.case_id / "study" / "000001").write_text("changed since it was received")
    assert len(search(here).stale) == 1

    answer_with(here, CORONARY, case, {})

    assert search(here) == Found(1, (), (), more=False)


def test_a_case_that_needs_a_deleted_original_keeps_its_answer(here: Settings, answered: Answer) -> None:
    """To run it could only put a refusal in the place of its answer; it is named with the reason each time one looks."""
    case = answered(earlier(CORONARY, "deidentify", version=0))
    shutil.rmtree(here.home_folder.inbox / case.case_id)

    found = search(here)

    assert found.stale == ()
    assert found.left == (
        Left(
            "coronary",
            case.case_id,
            "stage deidentify must run again and needs study, deleted after de-identification; "
            "ask the site to send the examination again",
        ),
    )


def test_a_case_whose_original_is_deleted_runs_from_what_was_kept(here: Settings, answered: Answer) -> None:
    """Results of the first two stages are valid by their keys; everything after reads the de-identified copy."""
    case = answered(earlier(CORONARY, "segment", version=0))
    shutil.rmtree(here.home_folder.inbox / case.case_id)

    (stale,) = search(here).stale

    assert stale.begins_at == "segment"
    answer_with(here, CORONARY, case, {})
    assert search(here) == Found(1, (), (), more=False)


def test_a_shredded_case_goes_on_from_what_stayed_and_a_forgotten_one_is_not_found(here: Settings, answered: Answer) -> None:
    """Without its results nothing of a case is left to answer; what was published of the others is as it was."""
    before = earlier(CORONARY, "segment", version=0)
    kept, forgotten = answered(before), answered(before, number=1)
    store = deployment_store(here)
    for case, results_are in ((kept, "keep"), (forgotten, "delete")):
        shred(request(here, case.case_id, results_are), here, store)

    (stale,) = search(here).stale
    answer_with(here, CORONARY, kept, {})

    assert (stale.case_id, stale.begins_at) == (kept.case_id, "segment")
    assert search(here) == Found(1, (), (), more=False)
    assert store.list(f"cases/{forgotten.case_id}/") == []
    assert len([name for name in store.list(f"cases/{kept.case_id}/report/") if name.endswith("manifest.json")]) == 2


def test_looking_for_originals_makes_no_key(here: Settings, answered: Answer) -> None:
    """Where the key of pseudonyms was destroyed on purpose, a search must not put a new one in its place."""
    answered(earlier(CORONARY, "receive", version=0))
    shutil.rmtree(here.home_folder.vault)

    assert len(search(here).stale) == 1
    assert not here.home_folder.vault.exists()


def test_cases_that_cannot_be_opened_are_named(here: Settings, answered: Answer) -> None:
    """A folder that is archived, a case of another region, a choice that today's pipeline does not know."""
    gone, abroad, unknown = (answered(number=number) for number in range(3))
    shutil.rmtree(gone.folder)
    (abroad.folder / "case.json").unlink()
    replace(abroad, region="eu-central-1").write()
    record(here, unknown, chosen={"no_such_parameter": 1.0})

    reasons = {left.case_id: left.reason for left in search(here).left}

    assert reasons[gone.case_id].startswith("no case.json in the case folder")
    assert reasons[abroad.case_id].startswith("a case of region eu-central-1 came to a deployment of region local")
    assert reasons[unknown.case_id].startswith("coronary has no parameter of 1 given names")


def test_a_search_ends_at_its_limit_with_the_oldest(here: Settings, answered: Answer) -> None:
    """Two of three; once those are answered, the next search finds the third."""
    before = earlier(CORONARY, "ffr", version=0)
    cases = [answered(before, number=number) for number in range(3)]
    for days, case in enumerate(reversed(cases)):
        record(here, case, recorded_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days))

    first = search(here, limit=2)
    for stale in first.stale:
        answer_with(here, CORONARY, next(c for c in cases if c.case_id == stale.case_id), {})
    second = search(here, limit=2)

    assert [stale.case_id for stale in first.stale] == [cases[2].case_id, cases[1].case_id]
    assert first.more
    assert [stale.case_id for stale in second.stale] == [cases[0].case_id]
    assert not second.more


def test_a_search_is_bounded_by_when_a_case_was_recorded(here: Settings, answered: Answer) -> None:
    """At or after the one, before the other, in any zone."""
    case = answered(earlier(CORONARY, "ffr", version=0))
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    record(here, case, recorded_at=at)
    second = timedelta(seconds=1)
    elsewhere = at.astimezone(datetime.strptime("+0530", "%z").tzinfo)

    counts = [
        len(search(here, **bounds).stale)
        for bounds in ({"since": at}, {"since": at + second}, {"until": at}, {"until": at + second}, {"since": elsewhere})
    ]

    assert counts == [1, 0, 0, 1, 1]


def test_two_searches_name_the_same_run(here: Settings, answered: Answer) -> None:
    """Two reprocess runs at once must not answer a case twice: the id follows from what is to be made."""
    cases = [answered(earlier(CORONARY, "ffr", version=0), number=number) for number in range(2)]

    first, second = search(here), search(here)

    assert first == second
    assert len({stale.run_id for stale in first.stale}) == len(cases)


def test_going_back_and_forth_between_versions_is_a_new_run_each_time(here: Settings, answered: Answer) -> None:
    """The run of the first time has ended long ago; under its id nothing would ever run again."""
    before = earlier(CORONARY, "ffr", version=0)
    case = answered(before)
    run_ids = []
    for with_ in (CORONARY, before, CORONARY):
        (stale,) = search(here, pipelines=[with_]).stale
        run_ids.append(stale.run_id)
        answer_with(here, with_, case, {})
        record_reprocessed(here, with_, [Answered(case.case_id, stale.report_key)])

    assert len(set(run_ids)) == 3
    assert results(case)["ffr"] == 2


def test_a_refused_run_does_not_count_against_the_limit(here: Settings, answered: Answer) -> None:
    """Cases whose publishing fails every time would otherwise keep all others waiting."""
    before = earlier(CORONARY, "ffr", version=0)
    cases = [answered(before, number=number) for number in range(2)]
    first = search(here).stale[0]

    found = search(here, limit=1, refuse=lambda stale: "tried before" if stale.case_id == first.case_id else None)

    assert [left.reason for left in found.left] == ["tried before"]
    assert {stale.case_id for stale in found.stale} == {case.case_id for case in cases} - {first.case_id}
