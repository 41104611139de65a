"""Attacks on what statements keep back: other values, other salts, other statements, and parameters told twice."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import rfc8785

from atlas.base64url import from_base64url, to_base64url
from atlas.codes import Code
from atlas.disclosure import Disclosure, conceal, new_salt
from atlas.keys import issue
from atlas.manifest import profile
from atlas.statement import SALT_BYTES, Publisher, Statement, Step, dump_statement
from integration.tamper.registry import Part, attack
from integration.tamper.world import PUBLISHER, Made, Outcome, World
from support import forge


@cache
def kept(name: str) -> Disclosure:
    """What the train step keeps back."""
    return conceal(name, {"learning_rate": 0.125, "depth": 8}[name])


def keeping_back(stated: Statement, *more: Disclosure, **changes: Any) -> Statement:
    """A train step that commits to its parameters."""
    hidden = {each.digest for each in (kept("learning_rate"), kept("depth"), *more)}
    return replace(stated, **{"hidden": tuple(sorted(hidden)), **changes})


def trained(world: World, *more: Disclosure, run: str = "run-2", **changes: Any) -> Made:
    """A model whose train step keeps parameters back."""
    return world.pipeline(run, train=lambda stated: keeping_back(stated, *more, **changes))["model"]


def disclosed(world: World, made: Made, *disclosures: Disclosure) -> Path:
    """The file that an auditor is given."""
    statement = f"sha256:{made.sidecar.manifest.statement_sha256}"
    opened = {"statement": statement, "disclosures": [each.encoded for each in disclosures]}
    document = {"type": "dev.atlas.disclosure/v1", "statements": [opened]}
    return world.file("opened.json", json.dumps(document).encode())


def shown(world: World, made: Made, *disclosures: Disclosure, policy: Path | None = None) -> Outcome:
    """`atlas verify --disclosed` of what this says."""
    return world.verify(made, disclosed=disclosed(world, made, *disclosures), policy=policy)


def rewritten(parts: list[Any]) -> Disclosure:
    """A disclosure that says just this."""
    return Disclosure(to_base64url(rfc8785.dumps(parts)), parts[1], parts[2])


def parts_of(disclosure: Disclosure) -> list[Any]:
    """Salt, name and value."""
    parts: list[Any] = json.loads(from_base64url(disclosure.encoded))
    return parts


def asking(world: World, **bounds: Any) -> Path:
    """A policy that asks for the learning rate."""
    return world.policy(parameters=[{"step": "train", "name": "learning_rate", **bounds}])


@attack(Part.DISCLOSURE, Code.DISCLOSURE_INVALID, answers="another value disclosed than was committed to")
def disclosure_with_another_value(world: World) -> Outcome:
    """Discloses a tamer learning rate than the one that the step committed to, with the salt of that one."""
    salt, name, _ = parts_of(kept("learning_rate"))
    return shown(world, trained(world), rewritten([salt, name, 0.001]))


@attack(Part.DISCLOSURE, Code.DISCLOSURE_INVALID, answers="commitment that is not bound to its salt")
def disclosure_with_another_salt(world: World) -> Outcome:
    """Discloses the right value under a salt of the attacker's."""
    _, name, value = parts_of(kept("learning_rate"))
    return shown(world, trained(world), rewritten([new_salt(16), name, value]))


@attack(Part.DISCLOSURE, Code.DISCLOSURE_INVALID, answers="value disclosed under another name")
def disclosure_under_another_name(world: World) -> Outcome:
    """Discloses the value of one parameter as that of another one."""
    salt, _, value = parts_of(kept("depth"))
    return shown(world, trained(world), rewritten([salt, "learning_rate", value]))


@attack(Part.DISCLOSURE, Code.DISCLOSURE_INVALID, answers="disclosure replayed to another statement")
def disclosure_of_a_sibling(world: World) -> Outcome:
    """Presents what a sibling run's step committed to as if this one had."""
    sibling = conceal("learning_rate", 0.001)
    trained(world, sibling, run="run-3")
    return shown(world, trained(world), sibling)


@attack(Part.DISCLOSURE, Code.DISCLOSURE_UNRELATED, answers="disclosure replayed to another lineage")
def disclosure_of_another_lineage(world: World) -> Outcome:
    """Presents what a sibling run's step really committed to, for a model that this step did not make."""
    sibling = conceal("learning_rate", 0.001)
    other = trained(world, sibling, run="run-3")
    return world.verify(trained(world), disclosed=disclosed(world, other, sibling))


@attack(Part.DISCLOSURE, Code.DISCLOSURE_MALFORMED, answers="commitment that can be guessed")
def disclosure_with_a_short_salt(world: World) -> Outcome:
    """Commits to a parameter under a salt so short that whoever has the statement can guess the value."""
    short = rewritten(["AA", "momentum", 0.9])
    return shown(world, trained(world, short), short)


@attack(Part.DISCLOSURE, Code.DISCLOSURE_MALFORMED, answers="two readers read two values")
def disclosure_with_two_values(world: World) -> Outcome:
    """Commits to bytes in which a field stands twice, so that each reader may take another value for it."""
    raw = f'["{new_salt(16)}","config",{{"rate":0.001,"rate":0.9}}]'.encode()
    twofold = Disclosure(to_base64url(raw), "config", None)
    return shown(world, trained(world, twofold), twofold)


@attack(Part.DISCLOSURE, Code.DISCLOSURE_CONFLICT, answers="disclosure that re-defines a told parameter")
def disclosure_of_a_told_parameter(world: World) -> Outcome:
    """Commits to a second value of a parameter that the statement tells, and shows that one to an auditor."""
    second = conceal("epochs", 300)
    return shown(world, trained(world, second), second)


@attack(Part.DISCLOSURE, Code.DISCLOSURE_CONFLICT, answers="different auditors are shown different values")
def disclosure_of_two_values_of_one_parameter(world: World) -> Outcome:
    """Commits to two values of one parameter, to choose later which one to show."""
    second = conceal("learning_rate", 0.001)
    return shown(world, trained(world, second), kept("learning_rate"), second)


@attack(Part.DISCLOSURE, Code.DISCLOSURE_CONFLICT, answers="secret opened by its digest")
def disclosure_of_a_secret(world: World) -> Outcome:
    """Commits to a value of a parameter that the statement calls secret."""
    leaked = conceal("api_token", "hunter2")
    return shown(world, trained(world, leaked, secret=("api_token",)), leaked)


@attack(
    Part.DISCLOSURE,
    Code.DISCLOSURE_INVALID,
    answers="archive tampered with",
    inherent=(Code.PARAMETER_UNDISCLOSED,),  # nothing of what the archive keeps for that step is believed then
)
def disclosure_changed_in_the_archive(world: World) -> Outcome:
    """Changes what the archive keeps of a learning rate to what the policy would like to see."""
    made = trained(world)
    salt, name, _ = parts_of(kept("learning_rate"))
    tamer = rewritten([salt, name, 0.001])
    world.gather()
    row = made.sidecar.manifest.statement_sha256, kept("learning_rate").digest, tamer.encoded
    world.archive("INSERT INTO disclosure (statement_sha256, digest, content) VALUES (?, ?, ?)", *row)
    return world.verify(made, policy=asking(world, max=0.01))


# ------------------------------------------------------------------------------------------------ statements


def stating(world: World, change: Callable[[dict[str, Any]], object], maker: Step | Publisher = PUBLISHER) -> Outcome:
    """Deliver a model whose step says what no honest runtime writes, in a sidecar that is otherwise sound."""
    stated = world.delivered() if isinstance(maker, Publisher) else keeping_back(world.delivered(maker=maker))
    issuer = world.publisher if isinstance(maker, Publisher) else world.home.issuer()
    credential = issue(issuer, maker, forge.now(), stated.pseudonym)
    document = json.loads(dump_statement(stated))
    change(document)

    def assertions(labels: dict[str, Any]) -> None:
        labels[profile.STATEMENT] = {"json": rfc8785.dumps(document).decode()}

    return world.verify_beside(forge.rewrite(forge.forge(stated, credential), credential, assertions=assertions))


def parameters(**more: Any) -> Callable[[dict[str, Any]], object]:
    """Change parameters of a statement."""
    return lambda document: document["parameters"].update(more)


@attack(Part.STATEMENT, Code.STATEMENT_DIGESTS_MALFORMED, answers="digest repeated")
def digest_repeated(world: World) -> Outcome:
    """Has one digest stand twice in the statement, so that one disclosure would open two parameters."""
    twice = sorted([kept("depth").digest, kept("learning_rate").digest, kept("depth").digest])
    return stating(world, parameters(_sd=twice), forge.step())


@attack(Part.STATEMENT, Code.STATEMENT_DIGESTS_MALFORMED, answers="order that tells which digest is which")
def digests_in_another_order(world: World) -> Outcome:
    """Has the digests stand in the order of the parameters' names."""
    return stating(
        world,
        parameters(_sd=sorted([kept("depth").digest, kept("learning_rate").digest], reverse=True)),
        forge.step(),
    )


@attack(Part.STATEMENT, Code.STATEMENT_DIGESTS_MALFORMED, answers="commitments where no reader looks")
def digests_within_a_parameter(world: World) -> Outcome:
    """Has digests stand within the value of a parameter, where a disclosure would change what is told."""
    return stating(world, parameters(config={"_sd": [kept("depth").digest]}), forge.step())


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="new fields under an old version")
def digests_in_an_old_version(world: World) -> Outcome:
    """Puts the fields of version 2 into a statement that says it is of version 1."""
    return stating(world, lambda document: document.update(type="dev.atlas.statement/v1"), forge.step())


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="two forms of one statement")
def new_version_of_nothing(world: World) -> Outcome:
    """Writes as version 2 what keeps nothing back, which has a form in version 1 already."""
    more = {"type": "dev.atlas.statement/v2", "_sd_alg": "sha-256", "secret": [], "pseudonym": ""}
    return stating(world, lambda document: document.update(more))


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="algorithm chosen by the attacker")
def digests_of_a_weaker_algorithm(world: World) -> Outcome:
    """Names another algorithm for the digests."""
    return stating(world, lambda document: document.update(_sd_alg="md5"), forge.step())


@attack(Part.STATEMENT, Code.PARAMETER_EXPOSED, answers="secret in the open")
def secret_that_is_told(world: World) -> Outcome:
    """Calls a parameter secret and tells its value beside that."""

    def change(document: dict[str, Any]) -> None:
        document["secret"] = ["api_token"]
        document["parameters"]["api_token"] = "hunter2"

    return stating(world, change, forge.step())


# ------------------------------------------------------------------------------------------------ policies


@attack(Part.POLICY, Code.PARAMETER_NOT_ALLOWED, answers="forbidden setting used")
def parameter_out_of_bounds(world: World) -> Outcome:
    """Trains for more epochs than the policy allows."""
    made = world.pipeline("run-2", train=lambda stated: replace(stated, parameters={"epochs": 300}))["model"]
    return world.verify(made, policy=world.policy(parameters=[{"step": "train", "name": "epochs", "max": 10}]))


@attack(Part.POLICY, Code.PARAMETER_NOT_ALLOWED, answers="forbidden setting used")
def hidden_parameter_out_of_bounds(world: World) -> Outcome:
    """Hides a learning rate that the policy does not allow, and discloses it."""
    return shown(world, trained(world), kept("learning_rate"), policy=asking(world, max=0.01))


@attack(Part.POLICY, Code.PARAMETER_NOT_ALLOWED, answers="value that passes for another one")
def parameter_of_another_type(world: World) -> Outcome:
    """Gives a text that reads like the number that the policy asks for."""
    made = world.pipeline("run-2", train=lambda stated: replace(stated, parameters={"epochs": "3"}))["model"]
    return world.verify(made, policy=world.policy(parameters=[{"step": "train", "name": "epochs", "equals": 3}]))


@attack(Part.POLICY, Code.PARAMETER_UNDISCLOSED, answers="required setting hidden")
def parameter_hidden_from_the_policy(world: World) -> Outcome:
    """Hides the parameter that the policy asks for, and discloses another one."""
    return shown(world, trained(world), kept("depth"), policy=asking(world, max=0.01))


@attack(Part.POLICY, Code.PARAMETER_UNDISCLOSED, answers="required setting hidden")
def parameter_called_secret(world: World) -> Outcome:
    """Calls the parameter secret that the policy asks for."""
    return world.verify(trained(world, secret=("learning_rate",)), policy=asking(world, max=0.01))


@attack(Part.POLICY, Code.PARAMETER_MISSING, answers="required setting left out")
def parameter_left_out(world: World) -> Outcome:
    """Leaves out the parameter that the policy asks for."""
    made = world.pipeline("run-2")["model"]
    return world.verify(made, policy=asking(world, max=0.01))


@attack(Part.POLICY, Code.PARAMETER_MISSING, answers="required step skipped")
def step_with_the_parameter_renamed(world: World) -> Outcome:
    """Has the train step call itself otherwise, so that the rule on its parameter finds nothing to judge."""

    def renamed(stated: Statement) -> Statement:
        assert isinstance(stated.maker, Step)
        return replace(stated, maker=replace(stated.maker, component="training"))

    made = world.pipeline("run-2", train=renamed)["model"]
    return world.verify(made, policy=world.policy(parameters=[{"step": "train", "name": "epochs", "max": 10}]))


# ------------------------------------------------------------------------------------------------ pseudonyms


def under(world: World, certified: Statement, stated: Statement) -> Outcome:
    """Present a delivery whose certificate was issued for another statement."""
    credential = issue(world.publisher, certified.maker, forge.now(), certified.pseudonym)
    return world.verify_beside(forge.forge(stated, credential))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="pseudonym that stands for anybody")
def pseudonym_of_another(world: World) -> Outcome:
    """Signs in a publisher's name with a pseudonymous certificate of another publisher."""
    stated = replace(world.delivered(), pseudonym=new_salt(SALT_BYTES))
    return under(world, replace(stated, maker=Publisher("mallory")), stated)


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="pseudonym that stands for anybody")
def pseudonym_under_another_salt(world: World) -> Outcome:
    """States another salt than the one that the certificate's pseudonym was made with."""
    stated = replace(world.delivered(), pseudonym=new_salt(SALT_BYTES))
    return under(world, replace(stated, pseudonym=new_salt(SALT_BYTES)), stated)


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="pseudonym that nobody can resolve")
def pseudonym_without_a_salt(world: World) -> Outcome:
    """Signs under a pseudonym, and does not state its salt."""
    return under(world, replace(world.delivered(), pseudonym=new_salt(SALT_BYTES)), world.delivered())
