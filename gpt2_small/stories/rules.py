"""Define the grammar of the stories: the entries of its slots, and its rules."""

from gpt2_small.stories.grammar import Entry, Grammar


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
    "hero": _people("Mara Nell Ida Rosa Greta Lina Tilda Vera", she="she", her="her", hers="her")
    | _people("Tom Otto Finn Hugo Jonas Milo Pavel Kofi", she="he", her="him", hers="his"),
    "mood": _nouns("lonely shy gloomy restless grumpy anxious bored sad"),
    "job": _nouns("weaver baker potter gardener carpenter tailor painter fiddler"),
    "home": _homes("in:village in:valley on:island in:town on:farm in:castle in:forest at:inn"),
    "pet": _nouns("goat dog cat donkey fox hen pony owl rabbit parrot", "animal")
    | {"nobody": _entry("nobody")},
    "petname": _names("Pip Biscuit Pepper Button Clover Moss"),
    "thing": _nouns("hat kite lantern spoon", "lost")
    | _nouns("flute violin teapot mirror", "gift")
    | _nouns("crown ring pearl sword", "dream")
    | _nouns("letter parcel basket clock", "errand"),
    "kin": _nouns("grandmother grandfather mother father aunt uncle"),
    "place": _nouns("tower windmill quarry bridge", "lost")
    | _nouns("market fair harbour workshop", "gift")
    | _nouns("waterfall lagoon volcano temple", "dream")
    | _nouns("lighthouse abbey palace museum", "errand"),
    "thief": _nouns("magpie raven goblin pirate robber monkey"),
    "obstacle": _nouns("river stream swamp", "water")
    | _nouns("canyon gorge chasm", "gap")
    | _nouns("wall hedge gate", "barrier")
    | _nouns("bear wolf dragon lion", "beast")
    | _nouns("storm blizzard hurricane", "weather"),
    "boat": _nouns("raft canoe bathtub"),
    "rope": _nouns("rope vine chain"),
    "tool": _nouns("spade shovel pickaxe"),
    "treat": _nouns("pie cake pancake muffin"),
    "shelter": _nouns("barn cabin hut cave"),
    "helper": _nouns("tinker sailor witch hermit postman miner wizard acrobat"),
}

RULES = {
    "story": """
        2x {opening} {lack} {company} {journey}
        3x {opening} {lack} {alone} {journey}
    """,
    "journey": "{peril} {rescue@obstacle} {arrival@thing} {closing@pet}",
    "opening": """
        2x {hero=} was {mood=a} {job=} {home=inside} .
        2x {home=Inside} lived {hero=} , {mood=a} {job=} .
        Once upon a time {hero=} was {mood=a} {job=} {home=inside} .
    """,
    "lack": """
        {thief=A} stole {hero.hers} {thing=:lost} and fled to the {place=:lost} .
        {hero.Hers} {kin=} wished for {thing=a:gift} from the {place=:gift} .
        Every night {hero.she} dreamed of {thing=a:dream} at the {place=:dream} .
        {hero.She} promised to bring {thing=a:errand} to {hero.hers} {kin=} at the {place=:errand} .
    """,
    "company": "{hero.She} and {pet=a} named {petname=}",
    "alone": """
        {pet!nobody} So {hero.she} set out and
        {pet!nobody} On the way {hero.she}
    """,
    "peril": """
        3x came to {obstacle=a:water+gap+barrier}
        met {obstacle=a:beast}
        got caught in {obstacle=a:weather}
    """,
    "rescue water": """
        3x , but {helper=a} lent {hero.her} {boat=a} .
        . The {obstacle} was {wide} , but {helper=a} lent {hero.her} {boat=a} .
    """,
    "wide": _one_of("wide cold deep"),
    "rescue gap": """
        3x , but {helper=a} threw {hero.her} {rope=a} .
        . {helper=A} threw {hero.her} {rope=a} across the {obstacle} .
    """,
    "rescue barrier": """
        3x , but {helper=a} dug a hole with {tool=a} .
        . {helper=A} dug a hole under the {obstacle} .
    """,
    "rescue beast": """
        3x , but {helper=a} gave it {treat=a} .
        . “ Eat this {treat=} , ” said {helper=a} to the {obstacle} .
    """,
    "rescue weather": """
        3x , but {helper=a} led {hero.her} to {shelter=a} .
        . {helper=A} hid {hero.her} from the {obstacle} in {shelter=a} .
    """,
    "arrival lost": """
        At the {place} {hero.she} found the {thing} {hidden} .
        {hero.She} searched the {place} and found the {thing} .
    """,
    "arrival gift": """
        At the {place} {hero.she} found the {thing} for {hero.hers} {kin} .
        {hero.She} bought the {thing} at the {place} .
    """,
    "arrival dream": """
        At the {place} {hero.she} found the {thing} {hidden} .
        The {thing} was really at the {place} .
    """,
    "arrival errand": """
        At the {place} {hero.hers} {kin} was glad of the {thing} .
        {hero.Hers} {kin} was glad when the {thing} came .
    """,
    "hidden": """
        under a stone
        behind a door
        in a box
    """,
    "closing animal": """
        2x {hero} and {petname} were never {mood} again .
        {hero} and {petname} {celebrated} .
        {petname} slept beside the {thing} that night .
    """,
    "closing nobody": """
        2x {hero} was never {mood} again .
        Back {home.there} , {hero} {celebrated} .
        People {home.there} still talk about the {thing} .
    """,
    "celebrated": """
        danced all night
        slept all day
        had a feast
    """,
}

# The token before each story.
BEGIN = "<|story|>"

GRAMMAR = Grammar(SLOTS, RULES, start="story")
