"""All that the orchestrator keeps, opened together."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.orchestrator.answers import Answers
from throughline.orchestrator.cameras import Cameras, Tasks
from throughline.orchestrator.films import Films
from throughline.orchestrator.jobs import Jobs
from throughline.orchestrator.learning import Learning
from throughline.orchestrator.pins import Pins
from throughline.orchestrator.progress import Meter, Subject
from throughline.orchestrator.ranking import Ranking
from throughline.orchestrator.rounds import Rounds
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.shared_views import SharedViews
from throughline.orchestrator.view import View
from throughline.orchestrator.waits import Waits
from throughline.storage.records import Records


@dataclass(frozen=True)
class Ledger:
    """One part for each kind of record, over one database."""

    records: Records
    jobs: Jobs
    pins: Pins
    waits: Waits
    cameras: Cameras
    tasks: Tasks
    ranking: Ranking
    learning: Learning
    shared_views: SharedViews
    rounds: Rounds
    answers: Answers
    films: Films
    view: View

    @classmethod
    def over(cls, records: Records, settings: OrchestratorSettings) -> Ledger:
        return cls(
            records=records,
            jobs=Jobs(records),
            pins=Pins(records),
            waits=Waits(records),
            cameras=Cameras(records),
            tasks=Tasks(records),
            ranking=Ranking(records),
            learning=Learning(records, settings.learn_transits, settings.correct_calibration),
            shared_views=SharedViews(records),
            rounds=Rounds(records, settings.reminder_seconds),
            answers=Answers(records),
            films=Films(records),
            view=View(records),
        )

    def meter(self, job_id: str, stage: str, camera: str = "") -> Meter:
        """Measures how far a stage is."""
        return Meter(self.records, Subject(job_id, stage, camera))
