"""The tales: who and what can be in them, and the sentences they are told in (syntax: `grammar.py`)."""

from .grammar import Entry, Grammar


def _entry(kind: str = "", **forms: str) -> Entry:
    return Entry(kind, {form: tuple(words.split()) for form, words in forms.items()})


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _nouns(words: str, kind: str = "") -> dict[str, Entry]:
    return {
        word: _entry(kind, plain=word, a=_with_article(word), A=_with_article(word).capitalize())
        for word in words.split()
    }


def _people(names: str, she: str, her: str, hers: str) -> dict[str, Entry]:
    return {
        name: _entry(
            name=name, she=she, She=she.capitalize(), her=her, hers=hers, Hers=hers.capitalize()
        )
        for name in names.split()
    }


def _homes(words: str) -> dict[str, Entry]:
    homes = {}
    for preposition, word in (pair.split(":") for pair in words.split()):
        noun = _with_article(word)
        homes[word] = _entry(
            a=noun,
            inside=f"{preposition} {noun}",
            Inside=f"{preposition.capitalize()} {noun}",
            plain=word,
            there=f"{preposition} the {word}",
        )
    return homes


def _names(names: str) -> dict[str, Entry]:
    return {name: _entry(name=name) for name in names.split()}


def _one_of(words: str) -> str:
    return "\n".join(words.split())


SLOTS = {
    "hero": _people(
        "Mara Nell Ida Rosa Greta Lina Wren Tilda Vera Hanna Anya Elsie Dora Mina Freya Ruth",
        she="she",
        her="her",
        hers="her",
    )
    | _people(
        "Tom Otto Finn Hugo Ivo Jonas Milo Pavel Ravi Theo Emil Bram Nils Kofi Leo Sam",
        she="he",
        her="him",
        hers="his",
    ),
    "mood": _nouns("lonely shy timid gloomy restless grumpy nervous anxious bashful bored sad lazy"),
    "job": _nouns(
        "weaver baker potter gardener clockmaker carpenter tailor miller painter farmer archer inventor"
    ),
    "home": _homes(
        "in:village in:valley on:island in:town on:farm in:castle in:forest at:inn on:hill in:cottage"
        " in:city in:desert"
    ),
    "pet": _nouns("goat dog cat donkey fox hen goose pony hedgehog otter owl rabbit", "animal")
    | {"nobody": _entry("nobody")},
    "petname": _names("Pip Biscuit Pepper Button Clover Moss Bramble Thimble Noodle Pudding Acorn Ginger"),
    "look": _nouns("silver golden blue red green old little painted shiny white ancient enchanted"),
    "thing": _nouns(
        "bell lantern key compass flute drum kite clock ring mirror spoon whistle crown book kettle"
        " mask violin umbrella teapot hat"
    ),
    "kin": _nouns("grandmother grandfather mother father sister brother aunt uncle cousin teacher"),
    "place": _nouns(
        "lighthouse abbey tower windmill observatory waterfall market palace museum library circus"
        " theatre bridge quarry fountain harbour monastery lagoon mine orchard"
    ),
    "thief": _nouns("magpie raven goblin pirate robber monkey imp jackdaw"),
    "obstacle": _nouns("river stream canal swamp flood", "water")
    | _nouns("canyon gorge ravine chasm", "gap")
    | _nouns("wall hedge fence gate", "barrier")
    | _nouns("bear wolf dragon giant bull ogre", "beast")
    | _nouns("storm blizzard gale hurricane sandstorm", "weather"),
    "boat": _nouns("raft canoe rowboat barrel bathtub"),
    "rope": _nouns("rope vine chain cord"),
    "tool": _nouns("spade shovel spoon pickaxe"),
    "treat": _nouns("pie cake pancake cheese muffin omelette"),
    "shelter": _nouns("barn cabin hut tent cave stable"),
    "helper": _nouns(
        "tinker sailor witch hermit postman miner wizard merchant piper acrobat nun shepherd"
    ),
    "plot": {plot: _entry(plot) for plot in ("lost", "gift", "dream", "errand")},
}

RULES = {
    "story": """
        {opening} {company} {tale}
        {opening} {pet!nobody} {tale}
    """,
    "tale": "{lack} {trouble@pet} {rescue@obstacle} {arrival@plot} {closing@pet}",
    "opening": """
        {hero=name} was {mood=a} {job=plain} {home=inside} .
        {hero=name} lived {home=inside} , and no {job=plain} there was so {mood=plain} .
        {home=Inside} lived {mood=a} {job=plain} named {hero=name} .
        Once upon a time , {mood=a} {job=plain} named {hero=name} lived {home=inside} .
        Long ago , {mood=a} {job=plain} named {hero=name} lived {home=inside} .
        This is the tale of {hero=name} , {mood=a} {job=plain} from {home=a} .
    """,
    "company": """
        {hero.She} had {pet=a} named {petname=name} .
        {hero.Hers} only friend was {pet=a} named {petname=name} .
    """,
    "lack": """
        One {day} {thief=a} stole {hero.hers} {look=plain} {thing=plain} and hid it at the {place=plain} . {plot!lost}
        One {day} {hero.hers} {kin=plain} fell ill and asked for {look=a} {thing=plain} from the {place=plain} . {plot!gift}
        One {day} {hero.hers} {kin=plain} told {hero.her} to take {look=a} {thing=plain} to the {place=plain} . {plot!errand}
        One {day} {hero.she} heard of {look=a} {thing=plain} hidden at the {place=plain} . {plot!dream}
        {hero.name} had promised {hero.hers} {kin=plain} {look=a} {thing=plain} from the {place=plain} . {plot!gift}
        {hero.name} had to bring {look=a} {thing=plain} to {hero.hers} {kin=plain} at the {place=plain} . {plot!errand}
        {thief=A} took {hero.hers} {look=plain} {thing=plain} and fled to the {place=plain} . {plot!lost}
        Every night {hero.she} dreamed of {look=a} {thing=plain} at the {place=plain} . {plot!dream}
    """,
    "day": _one_of("morning evening night summer winter spring autumn day"),
    "trouble animal": """
        So {hero.she} set out with {petname.name} , but {soon} {hero.she} {peril} .
        {hero.She} and {petname.name} set out , but {soon} {hero.she} {peril} .
        {peril_first}
    """,
    "trouble nobody": """
        So {hero.she} set out , but {soon} {hero.she} {peril} .
        {hero.She} set out alone , but {soon} {hero.she} {peril} .
        {peril_first}
    """,
    "peril_first": """
        On the way {hero.she} {peril} .
        Halfway there {hero.she} {peril} .
    """,
    "soon": """
        soon
        at {hour}
        before long
        after a mile
    """,
    "hour": _one_of("dawn noon sunset midnight"),
    "peril": """
        came to {obstacle=a:water+gap+barrier}
        met {obstacle=a:beast}
        was caught in {obstacle=a:weather}
    """,
    "rescue water": """
        The {obstacle.plain} was too {wide} , but {helper=a} lent {hero.her} {boat=a} .
        {helper=A} came by and took {hero.her} across in {boat=a} .
        “ Take my {boat=plain} , ” said {helper=a} , and so {hero.she} crossed the {obstacle.plain} .
    """,
    "wide": _one_of("wide cold deep fast"),
    "rescue gap": """
        The {obstacle.plain} was too {broad} , but {helper=a} threw {hero.her} {rope=a} .
        {helper=A} had {rope=a} , and {hero.she} swung across .
        “ Hold my {rope=plain} , ” called {helper=a} , and {hero.she} swung across the {obstacle.plain} .
    """,
    "broad": _one_of("wide deep dark"),
    "rescue barrier": """
        The {obstacle.plain} was too {steep} , but {helper=a} dug a hole with {tool=a} .
        {helper=A} took {tool=a} and dug a hole under the {obstacle.plain} .
        “ Take my {tool=plain} , ” said {helper=a} , and {hero.she} dug a hole under the {obstacle.plain} .
    """,
    "steep": _one_of("strong high slippery"),
    "rescue beast": """
        The {obstacle.plain} {growled} until {helper=a} gave it {treat=a} .
        {helper=A} gave the {obstacle.plain} {treat=a} , and it let {hero.her} pass .
        “ Give it this {treat=plain} , ” said {helper=a} , and the {obstacle.plain} let {hero.her} pass .
    """,
    "growled": _one_of("growled roared stamped laughed"),
    "rescue weather": """
        The {obstacle.plain} was too {wild} , so {hero.she} hid in {shelter=a} with {helper=a} .
        {helper=A} led {hero.her} to {shelter=a} until the {obstacle.plain} was over .
        “ Come into my {shelter=plain} , ” called {helper=a} , and {hero.she} waited there until the {obstacle.plain} was over .
    """,
    "wild": _one_of("wild strong fierce loud"),
    "arrival lost": """
        At the {place.plain} {hero.she} found the {thing.plain} {hidden} .
        At the {place.plain} the {thief.plain} was asleep , so {hero.she} took back the {thing.plain} .
        The {thief.plain} was sorry and gave back the {look.plain} {thing.plain} .
    """,
    "arrival gift": """
        At the {place.plain} {hero.she} got the {thing.plain} , and {hero.hers} {kin.plain} smiled again .
        {hero.She} found the {look.plain} {thing.plain} and brought it to {hero.hers} {kin.plain} .
    """,
    "arrival dream": """
        At the {place.plain} {hero.she} found the {thing.plain} {hidden} .
        The {look.plain} {thing.plain} was really there , {hidden} .
    """,
    "arrival errand": """
        At the {place.plain} {hero.she} handed over the {thing.plain} , and {hero.hers} {kin.plain} was proud .
        The {look.plain} {thing.plain} came safely to the {place.plain} , and {hero.hers} {kin.plain} was proud .
    """,
    "hidden": """
        under a stone
        behind a door
        in a box
        among the leaves
    """,
    "closing animal": """
        2x {ending}
        {petname.name} slept beside the {thing.plain} that night .
        Back {home.there} , {hero.name} and {petname.name} danced all night .
        Even the {pet.plain} danced that night .
    """,
    "closing nobody": """
        4x {ending}
        Back {home.there} , {hero.name} danced all night .
    """,
    "ending": """
        {hero.name} was never {mood.plain} again .
        And the {job.plain} was never {mood.plain} again .
        {hero.She} told everyone {home.there} about the {helper.plain} .
        People {home.there} still talk about {hero.name} and the {obstacle.plain} .
    """,
}

BEGIN = "<|story|>"
"""The token that leads each story, and stands between one and the next."""

GRAMMAR = Grammar(SLOTS, RULES, start="story")
