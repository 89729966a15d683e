"""The tales: who and what can be in them, and how they are told (syntax: `grammar.py`)."""

from gpt2_small.text.stories.grammar import Entry, Grammar


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
            plain=name, she=she, She=she.capitalize(), her=her, hers=hers, Hers=hers.capitalize()
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
    return {name: _entry(plain=name) for name in names.split()}


def _one_of(words: str) -> str:
    return "\n".join(words.split())


SLOTS = {
    "hero": _people(
        "Mara Nell Ida Rosa Greta Lina Tilda Vera Elsie Freya", she="she", her="her", hers="her"
    )
    | _people(
        "Tom Otto Finn Hugo Jonas Milo Pavel Ravi Emil Kofi", she="he", her="him", hers="his"
    ),
    "mood": _nouns("lonely shy gloomy restless grumpy anxious bored sad"),
    "job": _nouns(
        "weaver baker potter gardener clockmaker carpenter tailor painter fiddler inventor"
    ),
    "home": _homes("in:village in:valley on:island in:town on:farm in:castle in:forest at:inn"),
    "pet": _nouns("goat dog cat donkey fox hen pony hedgehog otter owl rabbit parrot", "animal")
    | {"nobody": _entry("nobody")},
    "petname": _names("Pip Biscuit Pepper Button Clover Moss Thimble Ginger"),
    "look": _nouns("silver golden blue red little old shiny enchanted"),
    "thing": _nouns("hat kite lantern umbrella spoon", "lost")
    | _nouns("flute violin teapot mirror puppet", "gift")
    | _nouns("crown ring pearl compass sword", "dream")
    | _nouns("letter parcel basket clock drum", "errand"),
    "kin": _nouns("grandmother grandfather mother father aunt uncle"),
    "place": _nouns("tower windmill quarry bridge fountain", "lost")
    | _nouns("market fair harbour workshop bakery", "gift")
    | _nouns("waterfall lagoon volcano temple pyramid", "dream")
    | _nouns("lighthouse abbey palace museum library", "errand"),
    "thief": _nouns("magpie raven goblin pirate robber monkey imp jackdaw"),
    "obstacle": _nouns("river stream canal swamp", "water")
    | _nouns("canyon gorge ravine chasm", "gap")
    | _nouns("wall hedge fence gate", "barrier")
    | _nouns("bear wolf dragon lion tiger", "beast")
    | _nouns("storm blizzard gale hurricane", "weather"),
    "boat": _nouns("raft canoe rowboat bathtub"),
    "rope": _nouns("rope vine chain cord"),
    "tool": _nouns("spade shovel pickaxe ladle"),
    "treat": _nouns("pie cake pancake muffin omelette"),
    "shelter": _nouns("barn cabin hut tent cave"),
    "helper": _nouns("tinker sailor witch hermit postman miner wizard acrobat"),
}

RULES = {
    "story": """
        2x {opening} {company} {tale}
        3x {opening} {pet!nobody} {tale}
    """,
    "tale": "{lack} {trouble@pet} {rescue@obstacle} {arrival@thing} {closing@pet}",
    "opening": """
        3x {hero=} was {mood=a} {job=} {home=inside} .
        3x {home=Inside} lived {mood=a} {job=} named {hero=} .
        Once upon a time , {mood=a} {job=} named {hero=} lived {home=inside} .
        Long ago , {mood=a} {job=} named {hero=} lived {home=inside} .
        This is the tale of {hero=} , {mood=a} {job=} from {home=a} .
    """,
    "company": """
        {hero.She} had {pet=a} named {petname=} .
        {hero.Hers} only friend was {pet=a} named {petname=} .
    """,
    "lack": """
        One {day} {thief=a} stole {hero.hers} {look=} {thing=:lost} and fled to the \
            {place=:lost} .
        One {day} {hero.hers} {kin=} asked for {look=a} {thing=:gift} from the {place=:gift} .
        One {day} {hero.hers} {kin=} told {hero.her} to take {look=a} {thing=:errand} to the \
            {place=:errand} .
        One {day} {hero.she} heard of {look=a} {thing=:dream} hidden at the {place=:dream} .
        {hero} had promised {hero.hers} {kin=} {look=a} {thing=:gift} from the {place=:gift} .
        {thief=A} took {hero.hers} {look=} {thing=:lost} and hid it at the {place=:lost} .
        Every night {hero.she} dreamed of {look=a} {thing=:dream} at the {place=:dream} .
    """,
    "day": _one_of("morning evening night summer winter spring autumn day"),
    "trouble animal": """
        With {petname} {hero.she} set out and {soon} {peril}
        {hero.She} took {petname} along and {soon} {peril}
    """,
    "trouble nobody": """
        So {hero.she} set out and {soon} {peril}
        On the way {hero.she} {peril}
        Halfway there {hero.she} {peril}
    """,
    "soon": """
        soon
        before long
        at {hour}
    """,
    "hour": _one_of("dawn noon sunset midnight"),
    "peril": """
        came to {obstacle=a:water+gap+barrier}
        met {obstacle=a:beast}
        was caught in {obstacle=a:weather}
    """,
    "rescue water": """
        3x , but {helper=a} came by in {boat=a} .
        . The {obstacle} was too {wide} , but {helper=a} lent {hero.her} {boat=a} .
    """,
    "wide": _one_of("wide cold deep"),
    "rescue gap": """
        3x , but {helper=a} threw {hero.her} {rope=a} .
        . The {obstacle} was too {broad} , but {helper=a} threw {hero.her} {rope=a} .
    """,
    "broad": _one_of("wide deep dark"),
    "rescue barrier": """
        3x , but {helper=a} dug a hole with {tool=a} .
        . {helper=A} took {tool=a} and dug a hole under the {obstacle} .
    """,
    "rescue beast": """
        3x , but {helper=a} gave it {treat=a} .
        . The {obstacle} {growled} until {helper=a} gave it {treat=a} .
        . “ Eat this {treat=} , ” said {helper=a} to the {obstacle} .
    """,
    "growled": _one_of("growled roared stamped laughed"),
    "rescue weather": """
        3x , but {helper=a} led {hero.her} to {shelter=a} .
        . {helper=A} led {hero.her} to {shelter=a} until the {obstacle} was over .
    """,
    "arrival lost": """
        At the {place} {hero.she} found the {thing} {hidden} .
        {hero.She} searched the {place} and found the {thing} {hidden} .
    """,
    "arrival gift": """
        At the {place} {hero.she} found the {thing} for {hero.hers} {kin} .
        {hero.She} bought the {thing} at the {place} for {hero.hers} {kin} .
    """,
    "arrival dream": """
        At the {place} {hero.she} found the {thing} {hidden} .
        The {thing} was really at the {place} , {hidden} .
    """,
    "arrival errand": """
        {hero.Hers} {kin} was proud when the {thing} came to the {place} .
        {hero.She} took the {thing} to the {place} and {hero.hers} {kin} was proud .
    """,
    "hidden": """
        under a stone
        behind a door
        in a box
        among the leaves
    """,
    "closing animal": """
        2x {hero} and {petname} were never {mood} again .
        Back {home.there} , {hero} and {petname} {celebrated} .
        {petname} slept beside the {thing} that night .
        {hero} told everyone {home.there} about the {obstacle} .
    """,
    "closing nobody": """
        2x {hero} was never {mood} again .
        Back {home.there} , {hero} {celebrated} .
        {hero} told everyone {home.there} about the {obstacle} .
        People {home.there} still talk about {hero} and the {thing} .
    """,
    "celebrated": """
        danced all night
        slept all day
        had a feast
        sang until dawn
    """,
}

BEGIN = "<|story|>"
"""The token that leads each story, and stands between one and the next."""

GRAMMAR = Grammar(SLOTS, RULES, start="story")
