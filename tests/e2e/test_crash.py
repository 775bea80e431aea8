"""An order survives whatever its process does not.

Each loop ends the client, cuts its connection or fills its disk at every point where it does something to the world: its
journal, the network, the token. Then the same command runs again until it is done, and what there is has to be what one
undisturbed run leaves: as many orders at the CA, keys and certificates on the token, entries in the journal.
scripts/test samples the points and prints how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from crash import Point, Scene, Story, visit
from p11e import P11KIT_CLIENT, Client, need, sample

KEPT = 4  # points of a loop that are visited without --full
TRIES = 4

pytestmark = pytest.mark.skipif(need("p11-kit", str(P11KIT_CLIENT)) is not None,
                                reason=str(need("p11-kit", str(P11KIT_CLIENT))))

ENROLL = ["enroll", "--name", "NAME"]
COMMANDS: dict[str, tuple[list[list[str]], list[str]]] = {
    "enroll": ([], ENROLL),
    "renew": ([ENROLL], ["order", "renew", "1"]),
    "renew-new-key": ([ENROLL], ["order", "renew", "1", "--new-key"]),
    "replace": ([ENROLL], ["order", "replace", "1", "--reason", "the key was seen", "--new-key"]),
}
PASSES = {"killed": ["kill", "killafter"], "cut": ["cut", "cutafter"], "full": ["full"]}


def sampled(points: list[Point]) -> list[Point]:
    return sample(points, KEPT)


def finish(scene: Scene, args: list[str], wanted: dict[str, Any]) -> str:
    """Runs the command until the journal says that it is done. Returns what was said meanwhile."""
    said = []
    for _ in range(TRIES):
        if scene.states() == wanted["in the journal"]:
            break
        if (lost := [o for o in scene.in_journal() if o["state"] == "ambiguous" and o.get("origin")]) and said:
            # Renewals and replacements are never sent again by themselves: a person looks, and says so.
            done = scene.act(["order", "resolve", str(lost[0]["order"]), "--not-ordered", "--send-again", "--reason",
                              "the CA has none", "--yes"])
            assert done.returncode in (0, 10), f"{done.returncode}: {done.stderr}"
        done = scene.again(args)
        assert done.returncode >= 0 and (done.returncode == 0 or done.stderr.strip()), f"{done.returncode}: {done.stderr}"
        said.append(f"{done.returncode}: {done.stderr.strip()}")
    return " / ".join(said)


@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.parametrize("how", PASSES)
def test_ended_anywhere(client: Client, say: Callable[[str], None], what: str, how: str) -> None:
    before, args = COMMANDS[what]
    story = Story(before, args, PASSES[how])
    client.set("ca:sandbox", absence_after="1s")

    def check(scene: Scene, point: Point, wanted: dict[str, Any]) -> None:
        hit = scene.act(args, point)
        assert hit.returncode == -9 if how == "killed" else hit.returncode >= 0, f"{hit.returncode}: {hit.stderr}"
        if how == "full":
            known = [o["mark"] for o in scene.in_journal()]
            unknown = [o for o in scene.at_ca() if not any(mark in str(o["comments"]) for mark in known)]
            assert unknown == [], f"sent without an entry in the journal: {unknown}"
        said = finish(scene, args, wanted)
        got = scene.outcome()
        different = {k: got[k] for k in wanted if got[k] != wanted[k]}
        assert not different, f"{different}; first {hit.returncode}: {hit.stderr.strip()}; then {said}"

    points, visited = visit(client, story, sampled, check)
    kinds = Counter(p.kind for p in points)
    say(f"{what}, {how}: {len(visited)} of {len(points)} points visited "
        f"({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))})")
    assert len(visited) >= min(len(points), KEPT)
