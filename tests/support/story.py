"""One build as its observers see it: a step that runs, one that is cut off, one that is reused, an image."""

from buildgraph.events import (
    BuildFinished,
    BuildStarted,
    ImageFinished,
    ImagePushed,
    StepFinished,
    StepOutput,
    StepStarted,
    Warned,
)

DIGEST = "sha256:" + "a" * 64

STORY = (
    BuildStarted(("api",), 4, 12.0),
    StepFinished("step:src", "copy", "reused"),
    StepStarted("step:deps", "run", "requirements.txt content: 12 → 34", 2.0),
    StepOutput("step:deps", "Collecting flask"),
    Warned("merge-conflict", "two siblings wrote /etc/x", "step:deps"),
    StepFinished("step:deps", "run", "executed", 2.5, "blake3:" + "b" * 64, 1_200_000),
    StepFinished("step:app", "run", "cutoff", reason="its inputs came out the same"),
    ImageFinished("image:api", DIGEST, 31_000_000, 450_000, ("shop/api:latest",)),
    ImagePushed("image:api", ("shop/api:latest",), DIGEST, 450_000, 30_000_000),
    BuildFinished(
        ok=True,
        seconds=2.75,
        steps={"executed": 1, "reused": 1, "cutoff": 1, "failed": 0, "skipped": 0},
    ),
)
