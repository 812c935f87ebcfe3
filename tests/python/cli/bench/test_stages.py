"""The stages of reports have one list each in what shows them: all are the same."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tensorbundle.cli.bench.limits import OTHER, STAGES, Evidence, limit_of
from tensorbundle.cli.bench.own_cases import Slot
from tensorbundle.cli.bench.plots import STAGE_COLOURS
from tensorbundle.cli.bench.results import Settings
from tensorbundle.reports import LoadStages, SaveStages

ROOT = Path(__file__).resolve().parents[4]
SCHEMA = json.loads(
    resources.files("tensorbundle.cli.bench").joinpath("schema.json").read_text()
)["$defs"]["row"]["properties"]


def names(stages):
    return {field.name for field in dataclasses.fields(stages)}


def test_the_stages_are_those_of_reports():
    assert set(STAGES) == names(SaveStages) | names(LoadStages)


def test_the_engine_tells_no_stage_that_its_reports_lack(tmp_path):
    slot, settings = Slot(str(tmp_path)), Settings("memory")
    model = SimpleNamespace(tensors={"w": np.ones(1000)})
    saved = slot.save_in_memory(model, settings)["stages"]
    _, loaded = slot.load_from_memory(settings)
    assert names(SaveStages) <= set(saved) <= set(STAGES)
    assert names(LoadStages) <= set(loaded["stages"]) <= set(STAGES)


def test_the_schema_lists_them_in_their_order():
    assert tuple(SCHEMA["stages"]["properties"]) == STAGES


@pytest.mark.parametrize("stage", [*STAGES, OTHER])
@pytest.mark.parametrize("backend", ["buffered", "uring", "memory"])
def test_each_can_be_what_limits(stage, backend):
    kinds = SCHEMA["limit"]["oneOf"][1]["properties"]["kind"]["enum"]
    stages = {"wait": 1e-9} if stage == OTHER else {stage: 1.0}
    limit = limit_of(Evidence("save", backend, 1.0, 1, stages, None))
    assert limit.kind in kinds and limit.sentence.startswith("limited by ")


def test_each_has_a_colour_of_its_own():
    assert tuple(STAGE_COLOURS) == (*STAGES, OTHER)
    assert len(set(STAGE_COLOURS.values())) == len(STAGE_COLOURS)


def test_the_manual_lists_them_in_their_order():
    text = " ".join((ROOT / "docs" / "bench.md").read_text().split())
    assert ", ".join(STAGES).replace("_", " ") + "." in text
