"""Keys and records of one build: what ``plan.decide`` asks about a step, answered from the store."""

import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from buildgraph.build.request import Request
from buildgraph.digest import ActionKey, Digest, Document, StepKey
from buildgraph.errors import ContentError, Location, blaming
from buildgraph.execute.selection import Selections, recipe_of
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import tree
from buildgraph.fs.tree import Tree
from buildgraph.graph.graph import BuildGraph, ImageTarget
from buildgraph.graph.key import Inputs, Keyed, document, key
from buildgraph.graph.recipe import Listed, Recipe, of_copy, of_write
from buildgraph.graph.step import (
    BaseStep,
    ContextFiles,
    CopyPart,
    CopyStep,
    DockerCopyStep,
    DockerFiles,
    Files,
    RecipeStep,
    RemoteStep,
    RunStep,
    Stack,
    StackFiles,
    Step,
    StepId,
    WorkdirStep,
    WriteStep,
    files_of,
    inputs_of,
)
from buildgraph.names import unlabelled
from buildgraph.plan.plan import Changed, Evicted, Execute, Forgotten, NeverBuilt, Reason, Rules
from buildgraph.spec.model import Owner
from buildgraph.store.actions import decode_result
from buildgraph.store.base import ActionResult
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.disk import Value


def rules_for(request: Request, now: int) -> Rules:
    """What the command line says about reuse."""
    stages = request.docker.no_cache_filter if request.docker else ()
    again = frozenset(map(str.lower, stages))

    def forced(step: Step) -> str | None:
        if isinstance(step, BaseStep):
            return None
        name = step.id.partition(":")[2]
        if request.no_cache:
            return "--no-cache"
        stage = name.split("/")[1:2]
        if stage and stage[0].lower() in again:
            return f"--no-cache-filter {stage[0]}"
        for written in request.rebuild:
            pattern = written.removeprefix("step:")
            if any(fnmatch.fnmatchcase(one, pattern) for one in {name, unlabelled(name)}):
                return f"--rebuild {written}"
        if isinstance(step, RunStep) and step.reuse.never:
            return 'reuse = "never"'
        return None

    def max_age(step: Step) -> int | None:
        return step.reuse.max_age if isinstance(step, RunStep) else None

    return Rules(forced, max_age, now)


@dataclass(frozen=True, slots=True)
class History:
    """Names of steps in the store's history: no other workspace has them."""

    workspace: str

    def name(self, step: str) -> str:
        return f"{self.workspace}/{step}"


class Lookups:
    """Satisfies ``plan.Records``; StepKeys are computed and looked up once, for all of ``steps``."""

    def __init__(
        self,
        graph: BuildGraph,
        store: LocalStore,
        stacks: Stacks,
        selections: Selections,
        history: History,
        versions: Callable[[RemoteStep], str],
    ) -> None:
        """``versions`` asks what a remote source is now."""
        self._graph = graph
        self._store = store
        self._stacks = stacks
        self._selections = selections
        self.history = history
        self._versions = versions
        self.keys: dict[StepId, StepKey] = {}
        self._by_step: dict[StepKey, ActionResult] = {}
        self.bare: set[ActionKey] = set()
        """Results whose bytes nobody has, and most likely nobody needs."""
        stacks.remake = self.recipe

    def look_up(self, steps: Iterable[StepId]) -> None:
        """Compute the StepKeys of ``steps`` (inputs first) and read their records in one batch."""
        names: dict[StepId, Document] = {}
        for step_id in steps:
            step = self._graph.steps[step_id]
            if isinstance(step, BaseStep):
                names[step_id] = list(step.layers)
                continue
            made = key(self._document(step, names, final=False))
            names[step_id] = made
            self.keys[step_id] = StepKey(made)
        self._by_step = dict(self._store.records.by_step(self.keys.values()))

    # -- plan.Records

    def by_step(self, step: StepId) -> ActionResult | None:
        result = self._by_step.get(self.keys[step])
        return result if result is not None and self.usable(result) else None

    def by_action(self, key: ActionKey) -> ActionResult | None:
        result = self._store.records.by_action(key)
        return result if result is not None and self.usable(result) else None

    def usable(self, result: ActionResult) -> bool:
        """Whether the bytes of a command's layer are still here, in one form or another, or can be fetched."""
        if result.diff_id is None or not result.size or result.action in self.bare:
            return True
        if self._store.snapshot(f"tree-{result.tree.hex}") is not None:
            return True
        return bool(self._store.layers.known(result.diff_id))

    def identities(self, step: Step) -> tuple[str, ...]:
        return tuple(
            name for source in inputs_of(step) for name in self._stacks.placed.identity(source)
        )

    def action(self, step: Step) -> tuple[ActionKey, Mapping[str, Document]]:
        names: dict[StepId, Document] = {
            source: list(self._stacks.placed.identity(source)) for source in inputs_of(step)
        }
        made = self._document(step, names, final=True)
        return ActionKey(key(made)), made

    def reason(self, step: Step, document: Mapping[str, Document]) -> Reason:
        last = self._store.records.last(self.history.name(step.id))
        if last is None:
            return NeverBuilt()
        before = self._read(str(last["document"]))
        if before is None:
            return Forgotten()
        from buildgraph.plan.explain import explain

        changes = explain(step, before, _plain(document), self.read_tree)
        return Changed(changes) if changes else Evicted()

    # -- documents

    def _document(
        self, step: Step, names: Mapping[StepId, Document], *, final: bool
    ) -> dict[str, Document]:
        assert not isinstance(step, BaseStep)
        with blaming(step.where):
            return self._made_document(step, names, final=final)

    def _made_document(
        self, step: Keyed, names: Mapping[StepId, Document], *, final: bool
    ) -> dict[str, Document]:
        if isinstance(step, RemoteStep):
            return document(step, Inputs(names, {}, self._versions(step)))
        if isinstance(step, RecipeStep) and not unpacks(step) and (final or is_alone(step)):
            return document(step, Inputs(names, {}), self._recipe(step).digest)
        files: dict[Files | DockerFiles, Digest] = {}
        if isinstance(step, DockerCopyStep):
            words = [s for s in step.sources if isinstance(s, DockerFiles)]
            known = [word for word in words if final or word.stack is None]
            times = step.keep_time
            files |= {word: self._selections.words_digest(word, times=times) for word in known}
        for selected in files_of(step):
            if isinstance(selected, ContextFiles) or final:
                times = isinstance(step, CopyStep) and step.keep_time
                listing = self._selections.listing(selected, times=times)
                files[selected] = (
                    tree.digest(listing) if times else self._selections.digest(selected)
                )
                self._stacks.placed.keep_tree(files[selected], listing)
        return document(step, Inputs(names, files))

    def _recipe(self, step: RecipeStep) -> Recipe:
        made = self._stacks.placed.recipes.get(step.id)
        if made is None:
            made = recipe_of(step, self._selections, self._owner)
            self.take(step.id, made)
        return made

    def survey(self, step: CopyStep | WriteStep) -> Recipe | None:
        """The recipe of a step that stands alone, but for what files themselves tell; None as ``Context.survey``."""
        if isinstance(step, WriteStep):
            return of_write(step)
        known: dict[Files, Listed] = {}
        for files in map(_in_context, step.parts):
            found = self._selections.survey(files)
            if found is None:
                return None
            known[files] = found
        return of_copy(step, known.__getitem__, lambda owner: self._owner((), owner, step.where))

    def cost(self, step: CopyStep, most: int) -> int:
        """Nanoseconds of reading what is unknown of the files of a step that was surveyed."""
        parts = {_in_context(part) for part in step.parts}
        return sum(self._selections.cost(files, most) for files in parts)

    def take(self, step: StepId, recipe: Recipe) -> None:
        """The step's recipe, already made."""
        self._stacks.placed.recipes[step] = recipe
        self._stacks.placed.keep_tree(recipe.digest, recipe.tree)

    def learn(self, step: CopyStep, sources: list[bytes], rows: bytes, contents: bytes) -> None:
        """What the files of a step that was surveyed were when somebody else had read them, as ``Context.learn``."""
        self._selections.learn(map(_in_context, step.parts), sources, rows, contents)

    def recipe(self, step_id: StepId) -> Recipe | None:
        """That of a step that has one; its inputs must be settled."""
        step = self._graph.steps[step_id]
        return self._recipe(step) if isinstance(step, RecipeStep) else None

    def _owner(self, names: Stack, owner: Owner, where: Location) -> tuple[int, int]:
        """An empty group is the user's own, for a number the same number."""
        if isinstance(owner.user, int) and (isinstance(owner.group, int) or not owner.group):
            return owner.user, owner.group if isinstance(owner.group, int) else owner.user
        return self._stacks.owner(names, owner, where)

    def read_tree(self, digest: Digest) -> Tree | None:
        try:
            return self._stacks.placed.tree(digest)
        except ContentError:
            return None

    def recorded(self, start: str) -> dict[str, Document] | None:
        """The key document of the record that ``start`` begins: its key, or its tree as ``cache ls`` shows it.

        Of several records with one tree it is the newest.
        """
        exact = self._read(start)
        if exact is not None or len(start) < 6:
            return exact
        index = self._store.index()
        keys = index.keys()
        names = [k for k in keys if k.startswith(f"document:{start}")]
        if names:
            return self._read(names[0].partition(":")[2]) if len(names) == 1 else None
        results = (decode_result(index.get(k)) for k in keys if k.startswith("action:"))
        found = [result for result in results if result and result.tree.hex.startswith(start)]
        if len({result.tree for result in found}) != 1:
            return None
        return self._read(max(found, key=lambda result: result.made).action)

    @staticmethod
    def plain(document: Mapping[str, Document]) -> dict[str, Document]:
        return _plain(document)

    def _read(self, name: str) -> dict[str, Document] | None:
        content = self._store.records.document(name)
        if content is None:
            return None
        plain: dict[str, Document] = json.loads(content)
        return plain

    # -- what is written

    def know(self, step: StepId, result: ActionResult) -> None:
        """The step's result came from elsewhere, and is in the store now."""
        self._store.records.alias({self.keys[step]: result.action})
        self._by_step[self.keys[step]] = result

    def believe(self, step: StepId, result: ActionResult) -> None:
        """The step's result, which a remote cache has, for as long as this session lives."""
        self._by_step[self.keys[step]] = result
        self.bare.add(result.action)

    def alias(self, step: StepId, result: ActionResult) -> None:
        """The step's StepKey finds this result from now on."""
        mine = self.keys[step]
        known = self._by_step.get(mine)
        if known is None or known.action != result.action:
            self._store.records.alias({mine: result.action})
            self._by_step[mine] = result

    def remember(self, step: Step, decision: Execute, seconds: float, now: int) -> None:
        """Keep a decision to execute, with what differed from the one before, for ``why``."""
        records = self._store.records
        records.put_document(decision.key, dump(decision.document))
        for files in files_of(step) if isinstance(step, RunStep) else ():
            self._store.blobs.put(tree.encode(self._selections.listing(files)), "blake3")
        reason = decision.reason
        changes = reason.changes if isinstance(reason, Changed) else ()
        entry: dict[str, Value] = {
            "decision": "execute",
            "reason": str(reason),
            "changes": [[c.component, c.before, c.after] for c in changes],
            "document": decision.key,
            "time": now,
        }
        records.remember(self.history.name(step.id), entry, seconds)

    def image_key(self, image: ImageTarget) -> str:
        """``${key}``: the image's content key, known before anything runs."""
        names: list[Document] = []
        for step_id in image.stack:
            step = self._graph.steps[step_id]
            names.append(list(step.layers) if isinstance(step, BaseStep) else self.keys[step_id])
        config = image.config.to_bytes()
        return key({"kind": "image", "stack": names, "config": config, "squash": image.squash})[:32]


def unpacks(step: RecipeStep) -> bool:
    """Whether it takes archives apart, so that its key must do without knowing what is in them."""
    return isinstance(step, DockerCopyStep) and any(
        isinstance(source, DockerFiles) and source.unpack for source in step.sources
    )


def is_alone(step: RecipeStep) -> bool:
    """Whether the recipe depends on the context and the Buildfile alone."""
    if isinstance(step, CopyStep | DockerCopyStep | WorkdirStep) and step.names:
        return False
    if isinstance(step, DockerCopyStep):
        words = (source for source in step.sources if isinstance(source, DockerFiles))
        return all(word.stack is None for word in words)
    return not any(isinstance(files, StackFiles) for files in files_of(step))


def _in_context(part: CopyPart) -> ContextFiles:
    assert isinstance(part.files, ContextFiles)
    return part.files


def dump(document: Mapping[str, Document]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _plain(document: Mapping[str, Document]) -> dict[str, Document]:
    """As it comes back from JSON, so that comparing sees no tuple against a list."""
    plain: dict[str, Document] = json.loads(json.dumps(document))
    return plain
